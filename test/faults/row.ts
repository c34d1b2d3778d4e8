/** A row of the table of faults, and how a mend is taken back for it. Types alone. */

/** In today's sources: what the mend put in place of what. */
export interface Revert {
  readonly path: string
  readonly now: string
  readonly before: string
}

export interface Row {
  /** Kind and number of the fault; several tests of one fault have a letter. */
  readonly id: string
  /** What the operator saw. */
  readonly about: string
  readonly file: string
  readonly title: string
  /** `old tree`: the program is that of the oldest tree, and the test today's. */
  readonly how: 'old tree' | readonly Revert[]
  /** What the test must say when it fails, as read in its output: another failure shows nothing. */
  readonly says: RegExp
}
