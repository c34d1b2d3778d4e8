/** Owns what a keeper is told by whoever starts it: a plain value, which travels as JSON. */
import type { MemorySource } from '../server/messages.ts'
import type { PreviousHolder } from './takeover/holder-process.ts'

export interface KeeperOptions {
  readonly pool: string
  readonly mountPoint: string
  readonly source: MemorySource
  /** Mount flags and options for the kernel, beyond those every pool has. */
  readonly mountFlags: number
  /** When the mount was asked for, milliseconds since the epoch. */
  readonly askedAtMs: number
  /** Not even what the former kernel may have handed over by this name is wanted. */
  readonly isNew: boolean
  /** Most files that one live update session takes. */
  readonly sessionFiles: number
  /** Who holds the pool now, if it exists already. */
  readonly predecessor: PreviousHolder | null
  /** Only hold what the predecessor held: the pool was parked, and stays so. */
  readonly isParked: boolean
}
