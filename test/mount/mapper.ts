/** A process of `map-file.ts`, which holds a mapping of a file until the test ends it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { beforeUnmount } from './support.ts'

const PROGRAM = fileURLToPath(new URL('map-file.ts', import.meta.url))

export class Mapper {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly ended: Promise<string>

  private constructor(t: TestContext, words: string[]) {
    this.#child = spawn(process.execPath, [PROGRAM, ...words], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#lines = createInterface({ input: this.#child.stdout as Readable })[Symbol.asyncIterator]()
    this.ended = once(this.#child, 'exit').then(([code, signal]) => String(signal ?? code))
    beforeUnmount(t, () => this.kill())
  }

  /** Maps the first `bytes` of the file; `create`: makes it of that size first, on the same descriptor. */
  static async start(
    t: TestContext,
    path: string,
    bytes: number,
    { create = false }: { create?: boolean } = {},
  ): Promise<Mapper> {
    const mapper = new Mapper(t, [path, String(bytes), ...(create ? ['create'] : [])])
    await mapper.#answer('mapping the file')
    return mapper
  }

  async load(offset: number): Promise<number> {
    return Number(await this.#ask('load', offset))
  }

  async store(offset: number, value: number): Promise<void> {
    await this.#ask('store', offset, value)
  }

  async fill(from: number, to: number, value: number): Promise<void> {
    await this.#ask('fill', from, to, value)
  }

  async closeFile(): Promise<void> {
    await this.#ask('close')
  }

  async adviseHuge(): Promise<string> {
    return await this.#ask('adviseHuge')
  }

  async pmdBytes(): Promise<number> {
    return Number(await this.#ask('pmdBytes'))
  }

  /**
   * Resolves when the process has ended, and the kernel has removed its mapping. Returns its exit status, or
   * the signal that ended it.
   */
  async end(): Promise<string> {
    this.#child.stdin?.end()
    return await this.ended
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.ended
  }

  async #ask(command: string, ...numbers: number[]): Promise<string> {
    ;(this.#child.stdin as Writable).write(`${[command, ...numbers].join(' ')}\n`)
    return await this.#answer(command)
  }

  async #answer(what: string): Promise<string> {
    const { done, value } = await this.#lines.next()
    if (done) throw new Error(`the mapping process ended (${await this.ended}) instead of ${what}`)
    return value
  }
}
