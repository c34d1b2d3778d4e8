/** The time at which QEMU carried out a command of this process, by the event that QEMU sends. Pure. */
import type { QmpEvent } from './qmp-messages.ts'

/**
 * Milliseconds since the epoch: QEMU's own time of the event where it is between `sinceMs`, when the command
 * was sent, and now; else the nearer of the two. QEMU runs as the guest's user, who may choose the program,
 * and the host's clock may be set meanwhile: a report must show neither a blackout of less than no time, nor
 * one of a day. `event` undefined: QEMU has sent none.
 */
export function eventTime(event: QmpEvent | undefined, sinceMs: number): number {
  // Date.now() has whole milliseconds, QEMU's time has microseconds.
  const nowMs = Date.now() + 1
  return Math.min(Math.max(event?.atMs ?? sinceMs, sinceMs), nowMs)
}
