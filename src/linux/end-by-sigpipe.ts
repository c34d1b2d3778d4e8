/**
 * The end of a program that writes to a pipe without a reader. Node ignores SIGPIPE, so that a write fails
 * with EPIPE instead; a shell, and `set -o pipefail`, expect the signal.
 */
import { libcCall } from './library.ts'

const signal = libcCall('signal', 'uintptr_t', ['int', 'uintptr_t'])

const SIGPIPE = 13
const SIG_DFL = 0

/** Ends this process at once, as SIGPIPE does by default. */
export function endBySigpipe(): void {
  // SAFETY: signal(2) takes numbers alone.
  signal(SIGPIPE, SIG_DFL)
  process.kill(process.pid, 'SIGPIPE')
}
