/** Parsers of options that several commands have. */
import { parseDuration } from '../values/duration.ts'

/** `--timeout`, as the help shows its default. */
export const DEFAULT_TIMEOUT = '60s'

/** Milliseconds. Errors: UsageError. */
export const timeoutOption = (text: string): number => parseDuration(text, '--timeout')

/** For options that may be given several times. */
export function collect(word: string, all: readonly string[]): string[] {
  return [...all, word]
}
