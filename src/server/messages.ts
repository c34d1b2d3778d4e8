/**
 * The messages between keeper and server, over their SOCK_SEQPACKET pair: one JSON object per message,
 * descriptors beside it (SCM_RIGHTS), in order. Anything more would be a second protocol: all state that must
 * outlive a process is in the shared areas, and all control goes through the mount.
 *
 * A keeper that was started before an upgrade of the package starts servers of after it: kinds and fields
 * keep their spelling, which is older than the names around here (memories: memory objects; hand-over:
 * preserve; take-back: unpreserve).
 */
import type { HandoverStep } from '../stores/store.ts'
import type { ObjectId } from '../values/ids.ts'
import type { RegionKind } from '../values/store-kinds.ts'

/** Descriptors in one message; the kernel's limit is 253 (SCM_MAX_FD), our receive buffer holds this many. */
export const DESCRIPTORS_PER_MESSAGE = 64

/** Where a pool's memory comes from. `isNew`: no image is there yet. A region holds its own image. */
export type MemorySource =
  | { readonly kind: 'memfd'; readonly totalBlocks: number; readonly isNew: boolean }
  /** `alignBytes`: the value to store in the root's alignment xattr; null: leave it. */
  | {
      readonly kind: RegionKind
      readonly region: string | null
      readonly alignBytes?: number | null | undefined
    }

/** What a mount asks of the root directory of a pool that holds nothing yet. */
export interface RootDirectory {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
}

/** Keeper to server. */
export type ToServer =
  /**
   * With the runtime area; for a pool of memfds also with the descriptor table and the image, and, as long as
   * the image is not yet made of it, with the image that the former kernel handed over.
   */
  | {
      readonly kind: 'open'
      readonly pool: string
      readonly source: MemorySource
      /** Of the mount's first server alone. */
      readonly rootDirectory?: RootDirectory | undefined
      /** The former server died of SIGBUS: pages of the image may be lost. */
      readonly mayHaveLostPages?: boolean
    }
  /** With one descriptor per memory. After `begin`: it came back from the former kernel just now. */
  | { readonly kind: 'memories'; readonly memories: readonly ObjectId[] }
  /** The former kernel handed it over, and it does not come back. */
  | { readonly kind: 'lost'; readonly memory: ObjectId }
  /**
   * With descriptors of live update sessions, to be kept open in case the keeper dies: they end with their
   * last copy.
   */
  | { readonly kind: 'sessions' }
  /** Close all of those; answered with `sessions-closed`. */
  | { readonly kind: 'close-sessions' }
  /** All memories are there: read the image. */
  | { readonly kind: 'begin' }
  /** With the /dev/fuse descriptor: serve it. `isCrashed`: the server before this one ended by itself. */
  | {
      readonly kind: 'serve'
      readonly restarts: number
      readonly isCrashed: boolean
      readonly keeperPid: number
      /** When the mount was asked for, milliseconds since the epoch. */
      readonly askedAtMs: number
      readonly mountPoint: string
    }

  /** The keeper has received `unmounted`, and holds the pool from here on. */
  | { readonly kind: 'released' }

/** Server to keeper. */
export type ToKeeper =
  /** With one descriptor per memory. */
  | { readonly kind: 'keep'; readonly memories: readonly ObjectId[] }
  | { readonly kind: 'drop'; readonly memories: readonly ObjectId[] }
  /** `isNew`: there was no image before. */
  | { readonly kind: 'opened'; readonly totalBlocks: number; readonly isNew: boolean }
  /**
   * It has the pool's memory and image to itself, and reads requests from here on. Servers of former trees do
   * not send it.
   */
  | { readonly kind: 'serving' }
  /** Preserve what the descriptor table calls outgoing; the last step comes with the image. */
  | { readonly kind: 'hand-over'; readonly step: HandoverStep }
  | { readonly kind: 'take-back' }
  | { readonly kind: 'sessions-closed' }
  /**
   * The image cannot be served; `reason` is one line for the operator. Nothing was changed. `ownerPid`: the
   * process that holds the image's lock.
   */
  | { readonly kind: 'refused'; readonly reason: string; readonly ownerPid?: number | undefined }
  /**
   * The connection is gone. `isHeld`: there are files whose memory lives only as long as a process holds it.
   */
  | { readonly kind: 'unmounted'; readonly isHeld: boolean }

export const MAX_MESSAGE_BYTES = 16 * 1024

export const encodeMessage = (message: ToServer | ToKeeper): Uint8Array =>
  Buffer.from(JSON.stringify(message), 'utf8')

/**
 * The peer is our own code at the other end of a socket pair that no other process has: the shape is trusted.
 */
export const decodeMessage = <Message extends ToServer | ToKeeper>(bytes: Uint8Array): Message =>
  JSON.parse(Buffer.from(bytes).toString('utf8')) as Message

/** A pool of memfds is new only once, and what a mount says of pages is said once. */
export const reopened = (source: MemorySource): MemorySource =>
  source.kind === 'memfd' ? { ...source, isNew: false } : { ...source, alignBytes: null }
