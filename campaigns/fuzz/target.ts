/** Owns what can be fuzzed: a reader of bytes, what it must keep to, and inputs to begin with. */

export interface Target {
  /** What may be in an input, beside what the inputs have: names, numbers, tags. */
  readonly dictionary: readonly (string | Uint8Array)[]
  /** Inputs are JSON, and are changed as values as well as as bytes. */
  readonly isJson: boolean
  /** Inputs that it takes. */
  readonly seeds: () => readonly Uint8Array[]
  /** Reads `input`. Whatever it throws is a finding: refusals that are promised are caught in here. */
  readonly run: (input: Uint8Array) => void
}

/** `read` may refuse in this one way; what it read, or undefined. */
export function orRefused<T>(
  read: () => T,
  ...refusals: readonly (new (
    ...words: never[]
  ) => Error)[]
): T | undefined {
  try {
    return read()
  } catch (error) {
    if (refusals.some((refusal) => error instanceof refusal)) return undefined
    throw error
  }
}
