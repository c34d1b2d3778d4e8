/**
 * Words of today's commands as the oldest tree spells them: `npm run faults` runs today's tests with the
 * program of that tree, and what it lacks must not be its command line.
 */
import { parseDuration } from '../../src/values/duration.ts'

/** `words`: after the program's name. Those after `--`, another program's, stay. */
export function formerWords(words: readonly string[]): string[] {
  const end = words.indexOf('--')
  const [own, others] = end < 0 ? [words, []] : [words.slice(0, end), words.slice(end)]
  return [...own.flatMap((word, at) => formerOption(word, own[at - 1])), ...others]
}

function formerOption(word: string, before: string | undefined): string {
  if (word === '--timeout') return '--timeout-ms'
  return before === '--timeout' ? String(parseDuration(word, before)) : word
}
