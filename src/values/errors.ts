/**
 * The classes of thrown failures. What a caller can expect is an `Errno` result; what is thrown is one of
 * these, and `UsageError` is the only one whose message is complete for the operator.
 */
import type { Errno } from './errno.ts'

/** A system call failed in a way its caller did not plan for. `message` names the call and its object. */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError'
  readonly errno: Errno

  constructor(call: string, errno: Errno, options?: ErrorOptions) {
    super(`${call}: ${errno.name}`, options)
    this.errno = errno
  }
}

/**
 * Bytes that were read are not what they must be: an image, a log record, a state file. Nothing was changed.
 */
export class CorruptBytesError extends Error {
  override readonly name = 'CorruptBytesError'
}

/**
 * This process's own state contradicts itself. Never caught to continue: the server ends, and the next one
 * recovers.
 */
export class BrokenInvariantError extends Error {
  override readonly name = 'BrokenInvariantError'
}

/** What the operator asked for cannot be done. The message is one line that says what to do instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** QEMU refused, did not answer or ended. The message is one line, in QEMU's words where it gave some. */
export class QemuError extends Error {
  override readonly name: string = 'QemuError'
}

/**
 * QEMU answered a command with an error: it has no such command, or refuses it. For a QEMU that does not
 * answer it is a plain QemuError.
 */
export class QemuRefusal extends QemuError {}

/**
 * No process listens on QEMU's socket, or QEMU closed the connection: where nothing else is wrong, it is
 * ending.
 */
export class QemuDisconnected extends QemuError {}

/** What to print of anything that was thrown: an error's message, anything else as it is. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
