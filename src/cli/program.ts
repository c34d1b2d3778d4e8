/** The command line as a whole: which subcommands there are, and how an error leaves the program. */
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import type { WaitingKeeper } from '../pool/waiting-keeper.ts'
import { CorruptBytesError, QemuError, UsageError } from '../values/errors.ts'
import type { CommandModule } from './command.ts'

/** Beside `src/` and `dist/` alike. */
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

type Load = () => Promise<{ readonly command: CommandModule }>

/**
 * Each name and alias of a command with the file that it loads, in the order of the help. A file, and all
 * that it imports, is loaded when its command is typed: after a kexec guests wait for some of them. The help
 * loads all.
 */
export const COMMANDS: Readonly<Record<string, Load>> = {
  mount: () => import('../commands/mount.ts'),
  umount: () => import('../commands/umount.ts'),
  list: () => import('../commands/list.ts'),
  status: () => import('../commands/status.ts'),
  freeze: () => import('../commands/freeze.ts'),
  thaw: () => import('../commands/thaw.ts'),
  format: () => import('../commands/format.ts'),
  upgrade: () => import('../commands/upgrade.ts'),
  run: () => import('../commands/run.ts'),
  vms: () => import('../commands/vms.ts'),
  resume: () => import('../commands/resume.ts'),
  'live-update': () => import('../commands/live-update.ts'),
  handover: () => import('../commands/handover.ts'),
  'hand-over': () => import('../commands/handover.ts'),
  report: () => import('../commands/report.ts'),
  doctor: () => import('../commands/doctor.ts'),
  reserve: () => import('../commands/reserve.ts'),
  install: () => import('../commands/install.ts'),
  uninstall: () => import('../commands/uninstall.ts'),
  fsck: () => import('../commands/fsck.ts'),
  dump: () => import('../commands/dump.ts'),
  keep: () => import('../commands/keep.ts'),
}

/** With the command that was typed; with all of them when it is none of them. */
export async function makeProgram(typed: string, waiting: WaitingKeeper | undefined): Promise<Command> {
  const program = new Command('guestmemfs')
    .version(version)
    .description(
      'A persistent in-memory file system for guest RAM, and the live update of the kernel underneath it',
    )
    .showHelpAfterError("(see 'guestmemfs help')")
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'guestmemfs: ')) })
    .commandsGroup('Help:')
    .helpCommand('help [command]', 'show the options of a command')
  const loads = Object.hasOwn(COMMANDS, typed) ? [COMMANDS[typed] as Load] : Object.values(COMMANDS)
  const modules = await Promise.all(loads.map((load) => load()))
  // A command that has an alias is in the table twice.
  for (const command of new Set(modules.map((module) => module.command))) add(program, command, waiting)
  return program
}

function add(program: Command, module: CommandModule, waiting: WaitingKeeper | undefined): void {
  const { name, aliases = [], group, summary, register } = module
  const command = program.command(name, { hidden: group === undefined }).description(summary)
  for (const alias of aliases) command.alias(alias)
  if (group !== undefined) command.helpGroup(`${group}:`)
  register(command, waiting)
}

/** `waiting`: for `mount`, the process that may become its keeper. */
export async function main(waiting: WaitingKeeper | undefined): Promise<void> {
  const program = await makeProgram(process.argv[2] ?? '', waiting)
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
