/** The command line as a whole: the table of subcommands, and how an error is printed. */
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { CorruptBytesError, QemuError, UsageError } from '../values/errors.ts'
import type { BegunMount, CommandModule } from './command.ts'
import { type Began, CommandEnd } from './command-end.ts'
import { journalWords } from './journal-words.ts'
import { complain } from './print.ts'

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
  metrics: () => import('../commands/metrics.ts'),
  fsck: () => import('../commands/fsck.ts'),
  dump: () => import('../commands/dump.ts'),
  keep: () => import('../commands/keep.ts'),
  dpkg: () => import('../commands/dpkg.ts'),
  'before-libvirt': () => import('../commands/before-libvirt.ts'),
}

/** The command that was typed; all of them when it is none of them. */
export async function loadModules(typed: string): Promise<CommandModule[]> {
  const loads = Object.hasOwn(COMMANDS, typed) ? [COMMANDS[typed] as Load] : Object.values(COMMANDS)
  const modules = await Promise.all(loads.map((load) => load()))
  // One that has an alias is in the table twice.
  return [...new Set(modules.map((module) => module.command))]
}

/** `begin` is called when the arguments of a command were parsed, before its action. */
export function makeProgram(
  modules: readonly CommandModule[],
  begun: BegunMount,
  begin: (module: CommandModule, command: Command) => void,
): Command {
  const program = new Command('guestmemfs')
    .version(version)
    .description(
      'A persistent in-memory file system for guest RAM, and the live update of the kernel underneath it',
    )
    .showHelpAfterError("(see 'guestmemfs help')")
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'guestmemfs: ')) })
    .commandsGroup('Help:')
    .helpCommand('help [command]', 'show the options of a command')
  for (const module of modules) {
    const command = add(program, module, begun)
    command.hook('preAction', () => begin(module, command))
  }
  return program
}

/** A command's description, each of its paragraphs as one line. */
export const paragraphs = (description: string): string[] =>
  description.split(/\n\s*\n/).map((text) => text.trim().replace(/\s+/g, ' '))

function add(program: Command, module: CommandModule, begun: BegunMount): Command {
  const { name, aliases = [], group, summary, description = summary, register } = module
  const command = program.command(name, { hidden: group === undefined })
  command.summary(summary).description(paragraphs(description).join('\n\n'))
  for (const alias of aliases) command.alias(alias)
  if (group !== undefined) command.helpGroup(`${group}:`)
  register(command, begun)
  return command
}

function beginOf(module: CommandModule, command: Command): Began {
  const { changes, mayNotReturn = false, group } = module
  return {
    words: group === undefined ? undefined : journalWords(process.argv.slice(2), command.args),
    changes: typeof changes === 'boolean' ? changes : changes(command.opts()),
    mayNotReturn,
  }
}

export async function main(begun: BegunMount): Promise<void> {
  const modules = await loadModules(process.argv[2] ?? '')
  const end = new CommandEnd(modules.length === 1 && modules[0]?.lendsStreams === true)
  const program = makeProgram(modules, begun, (...begun) => end.begin(beginOf(...begun)))
  try {
    await program.parseAsync()
  } catch (error) {
    // An error that the operator can act on is one line; any other is a defect, which needs its stack.
    const isForOperator =
      error instanceof UsageError || error instanceof CorruptBytesError || error instanceof QemuError
    complain(isForOperator ? error.message : String(error instanceof Error ? error.stack : error))
    process.exitCode = 1
  }
}
