/** One growing log of the host: its text, and waits for matches in it. */

/** The host, or a command in it, failed. The message is for the operator. */
export class HostError extends Error {
  override readonly name = 'HostError'
}

/** A script inside failed, or printed something else than it must. */
export class ScriptError extends Error {
  override readonly name = 'ScriptError'
}

/** `promise`, or a `HostError` with `words` after `timeoutMs`; `words` is called only then. */
export async function within<T>(promise: Promise<T>, timeoutMs: number, words: () => string): Promise<T> {
  const late = Promise.withResolvers<never>()
  const giveUp = (): void => late.reject(new HostError(`${words()} (waited ${timeoutMs / 1000} s)`))
  const timer = setTimeout(giveUp, timeoutMs)
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** A piece of a log with its time of arrival, by the clock outside, which no kexec stops. */
export interface Piece {
  readonly atMs: number
  /** Where in `text` it ends. */
  readonly end: number
}

export class Log {
  readonly name: string
  /** latin1, so that every byte is one character. */
  text = ''
  readonly pieces: Piece[] = []
  /** The exit code or signal of the program; undefined while it runs. */
  ended: number | string | undefined
  readonly #hostFailed: Promise<never>
  readonly #watchers = new Set<() => void>()

  constructor(name: string, hostFailed: Promise<never>) {
    this.name = name
    this.#hostFailed = hostFailed
  }

  append(text: string): void {
    this.text += text
    this.pieces.push({ atMs: performance.now(), end: this.text.length })
    this.#wake()
  }

  close(ended: number | string): void {
    this.ended = ended
    this.#wake()
  }

  /** Another program continues the log. */
  reopen(): void {
    this.ended = undefined
  }

  /** The time of arrival of the character at `offset`; undefined before it. */
  arrivalOf(offset: number): number | undefined {
    return this.pieces.find(({ end }) => end > offset)?.atMs
  }

  /**
   * The first match at or after `from`, in whole lines alone while the program runs, so that the caller can
   * read the complete line. Throws when there is none in time, or the program ends without it.
   */
  async waitFor(
    pattern: RegExp,
    options: { readonly timeoutMs?: number; readonly from?: number } = {},
  ): Promise<RegExpExecArray> {
    const { timeoutMs = 180_000, from = 0 } = options
    const find = (): RegExpExecArray | undefined => {
      const end = this.ended === undefined ? this.text.lastIndexOf('\n') + 1 : this.text.length
      return pattern.exec(this.text.slice(from, end)) ?? undefined
    }
    const words = () => `${this.name} did not print ${pattern}; its last words: ${lastWords(this.text)}`
    return this.#until(
      () => {
        const match = find()
        if (match === undefined && this.ended !== undefined)
          throw new HostError(`${words()} (it ended: ${this.ended})`)
        return match
      },
      timeoutMs,
      words,
    )
  }

  /** Waits until the program has ended: its exit code, or the name of the signal. */
  waitForEnd(timeoutMs: number): Promise<number | string> {
    return this.#until(
      () => this.ended,
      timeoutMs,
      () => `${this.name} did not end`,
    )
  }

  async #until<T>(look: () => T | undefined, timeoutMs: number, words: () => string): Promise<T> {
    const found = Promise.withResolvers<T>()
    const watcher = (): void => {
      try {
        const value = look()
        if (value !== undefined) found.resolve(value)
      } catch (error) {
        found.reject(error)
      }
    }
    this.#watchers.add(watcher)
    watcher()
    try {
      return await within(Promise.race([found.promise, this.#hostFailed]), timeoutMs, words)
    } finally {
      this.#watchers.delete(watcher)
    }
  }

  #wake(): void {
    for (const watcher of this.#watchers) watcher()
  }
}

const lastWords = (text: string): string => JSON.stringify(text.slice(-200))
