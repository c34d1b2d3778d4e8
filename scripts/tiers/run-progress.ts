/**
 * The progress of a test run: on a terminal one line that is drawn again each second, elsewhere a line every
 * half minute. It shows the running job, its time, and its last output.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

const DRAW_MS = 1000
const PRINT_MS = 30_000
const TAIL_BYTES = 400

interface Running {
  readonly name: string
  readonly sinceMs: number
  /** The file with its output. */
  readonly output: string
}

export class RunProgress {
  readonly #isTerminal = process.stdout.isTTY === true
  readonly #running = new Set<Running>()
  readonly #timer: NodeJS.Timeout
  #isDrawn = false

  constructor() {
    this.#timer = this.#isTerminal
      ? setInterval(() => this.#draw(), DRAW_MS)
      : setInterval(() => this.#printRunning(), PRINT_MS)
    this.#timer.unref()
  }

  print(line: string): void {
    if (this.#isDrawn) process.stdout.write('\r\x1b[K')
    this.#isDrawn = false
    process.stdout.write(`${line}\n`)
  }

  /** Shows `name` while `work` runs. */
  async during<T>(name: string, output: string, work: () => Promise<T>): Promise<T> {
    const running = { name, output, sinceMs: performance.now() }
    this.#running.add(running)
    try {
      return await work()
    } finally {
      this.#running.delete(running)
    }
  }

  end(): void {
    clearInterval(this.#timer)
    if (this.#isDrawn) process.stdout.write('\r\x1b[K')
    this.#isDrawn = false
  }

  #lines(): string[] {
    return [...this.#running].map(({ name, sinceMs, output }) => {
      const seconds = Math.round((performance.now() - sinceMs) / 1000)
      return `… ${name}  ${seconds} s  ${lastLine(output)}`.trimEnd()
    })
  }

  #draw(): void {
    const [line] = this.#lines()
    if (line === undefined) return
    process.stdout.write(`\r\x1b[K${line.slice(0, (process.stdout.columns ?? 80) - 1)}`)
    this.#isDrawn = true
  }

  #printRunning(): void {
    for (const line of this.#lines()) process.stdout.write(`${line}\n`)
  }
}

/** The last line of a growing file; empty where there is none. */
export function lastLine(file: string): string {
  try {
    const fd = openSync(file, 'r')
    try {
      const { size } = fstatSync(fd)
      const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES))
      readSync(fd, bytes, 0, bytes.length, size - bytes.length)
      return bytes.toString('utf8').trim().split('\n').at(-1)?.trim() ?? ''
    } finally {
      closeSync(fd)
    }
  } catch {
    return ''
  }
}
