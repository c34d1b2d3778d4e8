/** Owns what the kill campaign wants of a mounted pool, however its keeper is kept alive. */
import assert from 'node:assert/strict'

export interface PoolHost {
  readonly mountPoint: string
  /**
   * The mount as this process sees it: its own path, or one through a process in the pool's mount namespace.
   */
  readonly root: () => string
  /** Words before a program's own that run it where the pool is mounted. */
  readonly inside: () => readonly string[]
  /** As they are now; 0: there is none. */
  readonly keeperPid: () => number
  readonly serverPid: () => number
  /** SIGKILL, one right after the other. Those that have ended already are passed over. */
  readonly kill: (...pids: number[]) => void
  /** Whether somebody else has the pool's memory, so that both may die. */
  readonly canLoseBoth: boolean
  /** After a keeper was killed: resolves when another one has taken over. */
  readonly takenOver: (former: number) => Promise<void>
  /** Resolves when a keeper lives and its server serves: then it holds all of the pool as well. */
  readonly settled: () => Promise<void>
  /** `guestmemfs WORDS…` there; throws where it fails. */
  readonly guestmemfs: (...words: string[]) => string
  /** Takes everything away, however it is. */
  readonly end: () => Promise<void>
}

/** `guestmemfs fsck` finds nothing wrong; a checkpoint that is under way is not wrong. */
export function assertSound({ guestmemfs }: PoolHost, pool: string): void {
  const told = guestmemfs('fsck', pool).trim().split('\n')
  for (const line of told) assert.match(line, /: (clean$|note in )/)
}
