/** Parsers of options that several commands have. */
import { UsageError } from '../values/errors.ts'

/** `--timeout-ms`, as the help shows its default. */
export const DEFAULT_TIMEOUT_MS = '60000'

/** Errors: UsageError. */
export function timeoutOption(text: string): number {
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text)
  throw new UsageError(`--timeout-ms '${text}' is not a number of milliseconds`)
}

/** For options that may be given several times. */
export function collect(word: string, all: readonly string[]): string[] {
  return [...all, word]
}
