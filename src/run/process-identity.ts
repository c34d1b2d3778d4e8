/**
 * A process in a record. A pid alone is not enough: the kernel uses pids again, but not with the same start
 * time.
 */
import * as v from 'valibot'
import { processStartTime } from '../linux/process.ts'
import { BrokenInvariantError } from '../values/errors.ts'

export const ProcessSchema = v.object({ pid: v.number(), startTime: v.string() })
export type ProcessIdentity = v.InferOutput<typeof ProcessSchema>

/** undefined: it has ended. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTime = processStartTime(pid)
  return startTime === undefined ? undefined : { pid, startTime }
}

export function identifySelf(): ProcessIdentity {
  const self = identify(process.pid)
  if (self === undefined) throw new BrokenInvariantError('this process is not in /proc')
  return self
}

export const isSameProcess = (one: ProcessIdentity, other: ProcessIdentity): boolean =>
  one.pid === other.pid && one.startTime === other.startTime

export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  return processStartTime(pid) === startTime
}
