/** The interface of a mounted pool for the kill campaign, whichever process restarts its keeper. */
import assert from 'node:assert/strict'
import type { Memory } from './lifetimes.ts'

export interface PoolHost {
  readonly mountPoint: string
  /**
   * The mount as this process sees it: its own path, or one through a process in the pool's mount namespace.
   */
  readonly root: () => string
  /** Words before a program's own that run it where the pool is mounted. */
  readonly inside: () => readonly string[]
  /** The present pids; 0: there is none. */
  readonly keeperPid: () => number
  readonly serverPid: () => number
  /** Sends SIGKILL to all, one right after the other. Ignores those that have ended. */
  readonly kill: (...pids: number[]) => void
  readonly memory: Memory
  /**
   * Whether both may die: a third process has the pool's memory, or it needs none. Then another keeper comes
   * by itself.
   */
  readonly canLoseBoth: boolean
  /** After a keeper was killed: resolves when another one has taken over. */
  readonly takenOver: (former: number) => Promise<void>
  /** Resolves when a keeper runs and its server serves, which then holds all of the pool as well. */
  readonly settled: () => Promise<void>
  /** The program. */
  readonly cli: string
  /** `guestmemfs WORDS…` there; throws where it fails. */
  readonly guestmemfs: (...words: string[]) => string
  /** Removes everything, in whatever state it is. */
  readonly end: () => Promise<void>
}

/** `guestmemfs fsck` finds no fault; an unfinished checkpoint is none. */
export function assertSound({ guestmemfs }: PoolHost, pool: string): void {
  const told = guestmemfs('fsck', pool).trim().split('\n')
  for (const line of told) assert.match(line, /: (clean$|note in )/)
}
