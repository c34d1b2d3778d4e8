/**
 * The messages between keeper and server, over their SOCK_SEQPACKET pair: one JSON object per message,
 * descriptors beside it (SCM_RIGHTS), in order. There are no other messages: all state that must outlive a
 * process is in the shared areas, and all control is by xattrs of the mount.
 *
 * The first message of each names the versions of this protocol that it supports. The server, which reads the
 * keeper's first, decides before it has used a descriptor, so that a refusal has changed nothing. Kinds and
 * fields are part of the protocol, and keep the spelling of its first version (memories: memory objects;
 * hand-over: preserve; take-back: unpreserve).
 */
import type { HandoverStep } from '../values/handover-step.ts'
import type { ObjectId } from '../values/ids.ts'
import type { RegionKind } from '../values/store-kinds.ts'
import { isInRegion } from '../values/store-kinds.ts'

/** Descriptors in one message; the kernel's limit is 253 (SCM_MAX_FD), the receive buffer holds this many. */
export const DESCRIPTORS_PER_MESSAGE = 64

/** The versions of this protocol that a process supports, both included. */
export interface Protocol {
  readonly oldest: number
  readonly newest: number
}

/** 0: processes of the first version, which send no number. */
const UNNUMBERED: Protocol = { oldest: 0, newest: 0 }
export const PROTOCOL: Protocol = { oldest: 0, newest: 1 }

/** One line for the operator; undefined: they have a version in common. */
export function protocolProblem(
  keeper: Protocol = UNNUMBERED,
  server: Protocol = UNNUMBERED,
): string | undefined {
  if (keeper.oldest <= server.newest && server.oldest <= keeper.newest) return undefined
  const newer = keeper.oldest > server.newest ? 'keeper' : 'server'
  return `its keeper has protocol ${inWords(keeper)}, its server ${inWords(server)}: they are of two versions of guestmemfs; mount it with that of the ${newer}`
}

const inWords = ({ oldest, newest }: Protocol): string =>
  oldest === newest ? String(newest) : `${oldest} to ${newest}`

/** Where a pool's memory comes from. `isNew`: there is no image yet. A region holds its own image. */
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
   * the image is not yet made of it, with the image that the former kernel handed over; for a region with its
   * lock, which the server holds as well.
   */
  | {
      readonly kind: 'open'
      readonly protocol?: Protocol | undefined
      readonly pool: string
      readonly source: MemorySource
      /** Of the mount's first server alone. */
      readonly rootDirectory?: RootDirectory | undefined
      /** The former server died of SIGBUS: pages of the image may be poisoned. */
      readonly mayHaveLostPages?: boolean
      /**
       * Of a region: its former server may have it until the keeper sends `serve`. A keeper starts no server
       * of another version (`own-version.ts`), which would ignore this field.
       */
      readonly isServed?: boolean
    }
  /** With one descriptor per object. After `begin`: objects that the keeper has just retrieved. */
  | { readonly kind: 'memories'; readonly memories: readonly ObjectId[] }
  /** The former kernel handed it over, and the keeper cannot retrieve it. */
  | { readonly kind: 'lost'; readonly memory: ObjectId }
  /**
   * With descriptors of live update sessions, to be kept open in case the keeper dies: a session ends with
   * its last descriptor.
   */
  | { readonly kind: 'sessions' }
  /** Close all of those; the server answers `sessions-closed`. */
  | { readonly kind: 'close-sessions' }
  /** All objects were sent: the server reads the image. */
  | { readonly kind: 'begin' }
  /**
   * With the /dev/fuse descriptor, which the server serves. `isCrashed`: the server before this one ended by
   * itself.
   */
  | {
      readonly kind: 'serve'
      readonly restarts: number
      readonly isCrashed: boolean
      readonly keeperPid: number
      /** When the mount was requested, milliseconds since the epoch. */
      readonly askedAtMs: number
      readonly mountPoint: string
      /** The previous holder, which the keeper has killed; null: there was none. */
      readonly endedPid?: number | null | undefined
    }

  /** The keeper has received `unmounted`, and holds the pool from here on. */
  | { readonly kind: 'released' }

/** Server to keeper. */
export type ToKeeper =
  /**
   * The first message. Servers of former versions do not send it, and their keepers ignore a kind that is
   * new.
   */
  | { readonly kind: 'hello'; readonly protocol: Protocol }
  /** With one descriptor per object. */
  | { readonly kind: 'keep'; readonly memories: readonly ObjectId[] }
  | { readonly kind: 'drop'; readonly memories: readonly ObjectId[] }
  /** `isNew`: there was no image before. */
  | { readonly kind: 'opened'; readonly totalBlocks: number; readonly isNew: boolean }
  /** The pool has another size than was sent before, or has been opened with this one. */
  | { readonly kind: 'resized'; readonly totalBlocks: number }
  /**
   * The server alone has the pool's memory and image, and reads requests from here on. Servers of former
   * versions do not send it.
   */
  | { readonly kind: 'serving' }
  /**
   * The keeper is to preserve the objects that the descriptor table marks outgoing; the last step comes with
   * the image.
   */
  | { readonly kind: 'hand-over'; readonly step: HandoverStep }
  | { readonly kind: 'take-back' }
  | { readonly kind: 'sessions-closed' }
  /**
   * The image cannot be served; `reason` is one line for the operator. Nothing was changed. `ownerPid`: the
   * process that holds the image's lock.
   */
  | { readonly kind: 'refused'; readonly reason: string; readonly ownerPid?: number | undefined }
  /**
   * The connection is gone. `isHeld`: there are files whose memory exists only as long as a process holds it.
   */
  | { readonly kind: 'unmounted'; readonly isHeld: boolean }

export const MAX_MESSAGE_BYTES = 16 * 1024

export const encodeMessage = (message: ToServer | ToKeeper): Uint8Array =>
  Buffer.from(JSON.stringify(message), 'utf8')

/**
 * The peer is guestmemfs code at the other end of a socket pair that no other process has: the shape is
 * trusted.
 */
export const decodeMessage = <Message extends ToServer | ToKeeper>(bytes: Uint8Array): Message =>
  JSON.parse(Buffer.from(bytes).toString('utf8')) as Message

/**
 * The same source for a further server: a pool of memfds is new only once, and a server stores a mount's
 * `align=` once.
 */
export const reopened = (source: MemorySource): MemorySource =>
  isInRegion(source) ? { ...source, alignBytes: null } : { ...source, isNew: false }
