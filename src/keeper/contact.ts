/**
 * The lines between a keeper and the process that starts it: options in, readiness out, both as JSON; and an
 * empty one in, when guests have gone on that the keeper was put behind. Both processes are of the same
 * version: where the package's files are replaced between the two starts, the keeper ends.
 */
import type { ProcessIdentity } from '../run/process-identity.ts'
import type { MemorySource, RootDirectory } from '../server/messages.ts'

/** The descriptor of these lines in the keeper's process. */
export const CONTACT_FD = 3

/** The version of these lines. A keeper that reads another one, or none, refuses. */
export const CONTACT_VERSION = 3

/**
 * How long a keeper's process may be behind all others. A guest that hangs before it has gone on holds up the
 * mount no longer.
 */
export const MOST_BEHIND_MS = 15_000

/** The keeper's answer. `isIncoming`: the former kernel handed the pool over. */
export type Readiness =
  | { readonly ok: true; readonly sizeBytes: number; readonly isNew: boolean; readonly isIncoming: boolean }
  | { readonly ok: false; readonly reason: string }

/** 'store': the process holds only what the service manager passed to it, and ends by itself. */
export interface PreviousHolder {
  readonly role: 'keeper' | 'server' | 'store'
  readonly process: ProcessIdentity
}

export type KeeperOptions = KeeperMountOptions | KeeperHoldOptions

interface CommonOptions {
  readonly version: typeof CONTACT_VERSION
  readonly pool: string
  readonly source: MemorySource
  /** Most files that one live update session takes. */
  readonly sessionFiles: number
  /**
   * The keeper's process was put behind all others when it was started, and had this nice value (see
   * server-nice.ts). Left out: it was not.
   */
  readonly formerNice?: number
}

/** Mount the pool, and serve it. */
export interface KeeperMountOptions extends CommonOptions {
  readonly kind: 'mount'
  readonly mountPoint: string
  /**
   * A mount of this pool that by its record no process serves. The keeper unmounts it when it has the pool:
   * the record may be wrong, and then the process that serves the mount has the pool.
   */
  readonly deadMount: string | null
  /** Mount flags and options for the kernel, beyond those every pool has. */
  readonly mountFlags: number
  readonly kernelOptions: readonly string[]
  readonly rootDirectory: RootDirectory
  /** When the mount was requested, milliseconds since the epoch. */
  readonly requestedAtMs: number
  /** Make a new pool even where the former kernel handed over one of this name. */
  readonly isNew: boolean
  /** The process that holds the pool now, if it exists already. */
  readonly previousHolder: PreviousHolder | null
}

/** Only hold what the previous holder held: the pool is parked, and stays so. */
export interface KeeperHoldOptions extends CommonOptions {
  readonly kind: 'hold'
  readonly previousHolder: PreviousHolder
}
