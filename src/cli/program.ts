/** Owns the command line as a whole: which subcommands there are, and how an error leaves the program. */
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import type { WaitingKeeper } from '../pool/waiting-keeper.ts'
import { CorruptBytesError, QemuError, UsageError } from '../values/errors.ts'

/** Beside `src/` and `dist/` alike. */
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

const program = new Command('guestmemfs')
  .version(version)
  .description(
    'A persistent in-memory file system for guest RAM, and the live update of the kernel underneath it',
  )
  .showHelpAfterError("(see 'guestmemfs help')")
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'guestmemfs: ')) })

type Register = (program: Command, waiting: WaitingKeeper | undefined) => void

/**
 * A command's file, and all that it needs, is loaded when the command is typed: after a kexec guests wait for some of them. All are
 * loaded for the list of them.
 */
const COMMANDS: Readonly<Record<string, () => Promise<Register>>> = {
  mount: async () => (await import('../commands/mount.ts')).registerMount,
  umount: async () => (await import('../commands/umount.ts')).registerUmount,
  list: async () => (await import('../commands/list.ts')).registerList,
  status: async () => (await import('../commands/status.ts')).registerStatus,
  freeze: async () => (await import('../commands/freeze.ts')).registerFreeze,
  thaw: async () => (await import('../commands/freeze.ts')).registerFreeze,
  handover: async () => (await import('../commands/handover.ts')).registerHandover,
  'hand-over': async () => (await import('../commands/handover.ts')).registerHandover,
  format: async () => (await import('../commands/format.ts')).registerFormat,
  fsck: async () => (await import('../commands/fsck.ts')).registerFsck,
  dump: async () => (await import('../commands/fsck.ts')).registerFsck,
  keep: async () => (await import('../commands/keep.ts')).registerKeep,
  doctor: async () => (await import('../commands/doctor.ts')).registerDoctor,
  reserve: async () => (await import('../commands/reserve.ts')).registerReserve,
  install: async () => (await import('../commands/install.ts')).registerInstall,
  uninstall: async () => (await import('../commands/uninstall.ts')).registerUninstall,
  run: async () => (await import('../commands/run.ts')).registerRun,
  vms: async () => (await import('../commands/vms.ts')).registerVms,
  'live-update': async () => (await import('../commands/live-update.ts')).registerLiveUpdate,
  resume: async () => (await import('../commands/resume.ts')).registerResume,
  report: async () => (await import('../commands/report.ts')).registerReport,
}

/** `waiting`: for `mount`, the process that may become its keeper. */
export async function main(waiting: WaitingKeeper | undefined): Promise<void> {
  const typed = process.argv[2] ?? ''
  const wanted = Object.hasOwn(COMMANDS, typed) ? [COMMANDS[typed]] : Object.values(COMMANDS)
  for (const register of new Set(await Promise.all(wanted.map((load) => load?.()))))
    register?.(program, waiting)
  try {
    await program.parseAsync()
  } catch (error) {
    // What a person can act on is one line; anything else is a defect, and its stack is what helps.
    const isForPeople =
      error instanceof UsageError || error instanceof CorruptBytesError || error instanceof QemuError
    process.stderr.write(
      `guestmemfs: ${isForPeople ? error.message : error instanceof Error ? error.stack : error}\n`,
    )
    process.exitCode = 1
  }
}
