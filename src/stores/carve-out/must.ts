/** Owns steps that only a broken machine refuses: they end whoever takes them. */
import { Errno } from '../../values/errno.ts'
import { SystemCallError } from '../../values/errors.ts'

/** Throws SystemCallError. */
export function must<T>(what: string, result: T | Errno): T {
  if (result instanceof Errno) throw new SystemCallError(what, result)
  return result
}

export function mustWork(what: string, failed: Errno | undefined): void {
  if (failed) throw new SystemCallError(what, failed)
}
