/**
 * Words of today's commands as the oldest tree spells them, and what it prints as today's commands do:
 * `npm run faults` runs today's tests with the program of that tree, and what it lacks must not be its
 * command line.
 */
import { parseDuration } from '../../src/values/duration.ts'

/** Commands whose pool is an argument, and was an option. */
const OF_A_POOL = ['vms', 'resume', 'live-update', 'report']
/** Their options with a value. */
const VALUED = [
  ...['--name', '--qemu', '--timeout', '--patience', '--leave', '--html'],
  ...['--kernel', '--initrd', '--append', '--via'],
]

/** `words`: after the program's name. Those after `--`, another program's, stay. */
export function formerWords(words: readonly string[]): string[] {
  const end = words.indexOf('--')
  const [own, others] = end < 0 ? [words, []] : [words.slice(0, end), words.slice(end)]
  return [...own.flatMap((word, at) => formerWord(word, own[at - 1], own[0] as string)), ...others]
}

/** `before`: the word before it; undefined: it is the command. */
function formerWord(word: string, before: string | undefined, command: string): string[] {
  if (word === '--timeout') return ['--timeout-ms']
  if (before === '--timeout') return [String(parseDuration(word, before))]
  if (word === '--pool' && command === 'run') return ['--mount']
  // The names of VMs were arguments there.
  if (word === '--name' && command === 'resume') return []
  const isArgument = before !== undefined && !word.startsWith('-') && !VALUED.includes(before)
  return isArgument && OF_A_POOL.includes(command) ? ['--mount', word] : [word]
}

/**
 * What the command has printed with --json. That tree prints lists without a name, and a report on each line.
 */
export function formerPrinted(command: string, stdout: string): unknown {
  if (command === 'list') return { pools: JSON.parse(stdout) }
  if (command === 'vms') return { vms: JSON.parse(stdout) }
  if (!['resume', 'live-update', 'report'].includes(command)) return JSON.parse(stdout)
  const lines = stdout.split('\n').filter((line) => line !== '')
  return { reports: lines.map((line) => JSON.parse(line)) }
}
