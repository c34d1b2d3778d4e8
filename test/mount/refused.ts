/**
 * The kernel's answer to an operation as a word, so that a test can compare a table of operations with their
 * answers.
 */
import { Errno } from '../../src/values/errno.ts'

/**
 * 'ok', or the name of the errno: of what node:fs throws, or of what a call of src/linux/ returns. Any other
 * error is rethrown.
 */
export function answerTo(operation: () => unknown): string {
  try {
    const result = operation()
    return result instanceof Errno ? result.name : 'ok'
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (typeof code !== 'string' || !code.startsWith('E')) throw error
    // libuv's name for errno 95 on Linux.
    return code === 'ENOTSUP' ? 'EOPNOTSUPP' : code
  }
}

/** Each operation's answer, by its name. */
export const answersTo = <Name extends string>(
  operations: Record<Name, () => unknown>,
): Record<string, string> =>
  Object.fromEntries(
    Object.entries<() => unknown>(operations).map(([name, operation]) => [name, answerTo(operation)]),
  )

/** A table with the same answer for every operation. */
export const allAnswer = (operations: object, answer: string): Record<string, string> =>
  Object.fromEntries(Object.keys(operations).map((name) => [name, answer]))
