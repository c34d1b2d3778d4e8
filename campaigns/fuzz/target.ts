/** The interface of a fuzz target: a reader of bytes, what it guarantees, and first inputs. */

export interface Target {
  /** Parts to put into inputs: names, numbers, tags. */
  readonly dictionary: readonly (string | Uint8Array)[]
  /** Inputs are JSON, of which values are changed as well as bytes. */
  readonly isJson: boolean
  /** Inputs that it reads without a refusal. */
  readonly seeds: () => readonly Uint8Array[]
  /** Reads `input`. Any exception is a finding: `run` catches documented refusals. */
  readonly run: (input: Uint8Array) => void
}

/** Returns what `read` returns, or undefined where it throws this one documented error. */
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
