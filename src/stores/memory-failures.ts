/** The facet of a store whose blocks are physical memory: memory that fails. Types alone. */
import type { Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'

export interface MemoryFailures {
  /**
   * Readable when the kernel has logged anything, and then `logged` is to be called. undefined: the log
   * cannot be read.
   */
  readonly fd: Fd | undefined
  /** Why the log cannot be read. */
  readonly unreadable: Errno | undefined
  /** What the kernel has logged since the last call; the first call begins with the kernel's start. */
  logged(): LoggedBlocks
  /**
   * Numbers of blocks to which an access of the server's failed since the last call. There may be another
   * reason, as a lack of memory for page tables.
   */
  suspected(): readonly number[]
}

export interface LoggedBlocks {
  /** Numbers of blocks in which memory failed, ascending. */
  readonly blocks: readonly number[]
  /** Physical addresses of pages of the metadata area in which memory failed. */
  readonly image: readonly number[]
  /** How often records of the log were lost, among which failures may be. */
  readonly gaps: number
  /** There may be further records: the caller asks again. */
  readonly isMore: boolean
}
