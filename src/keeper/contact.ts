/** What a keeper and the process that starts it say to each other: one line of JSON each way. */
import type { MemorySource } from '../server/messages.ts'
import type { PreviousHolder } from './takeover/holder-process.ts'

/** The descriptor of both lines in the keeper's process. */
export const CONTACT_FD = 3

/** The keeper's answer. `isArriving`: the former kernel handed the pool over. */
export type Readiness =
  | { readonly ok: true; readonly sizeBytes: number; readonly isNew: boolean; readonly isArriving: boolean }
  | { readonly ok: false; readonly reason: string }

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
