/**
 * The interface of a suite to the command: it is found at a path, built in a scratch folder, run in two
 * places.
 */

/** A folder of a mounted file system. */
export interface Place {
  readonly name: string
  readonly path: string
}

export interface Limits {
  /** The suite begins no part after it. Milliseconds since the epoch. */
  readonly deadlineMs: number
  readonly say: (line: string) => void
}

export interface Verdict {
  readonly checks: number
  readonly passed: { readonly reference: number; readonly subject: number }
  /** Checks that pass in the reference and not in the subject, a line each. */
  readonly differences: readonly string[]
  /** The deadline passed before its end. */
  readonly isCutShort: boolean
}

export interface Suite {
  readonly name: string
  /** Whether `path` is a checkout of it. */
  readonly isAt: (path: string) => boolean
  /** Copies what it needs to `folder`, and builds there. Errors: UsageError. */
  readonly build: (path: string, folder: string) => Promise<void>
  /** The reference, then the subject. */
  readonly run: (folder: string, places: readonly [Place, Place], limits: Limits) => Promise<Verdict>
}
