/**
 * Owns handing a pool of memfds over to the next kernel: which memory is preserved in which session, and that all of it can be taken
 * back until the jump. What leaves is said by the server, in the descriptor table; sessions are held here, and by the server in
 * case this process dies.
 */
import { close } from '../../linux/descriptors.ts'
import type { DescriptorTable } from '../../stores/memfd/descriptor-table.ts'
import { HandOverWords } from '../../stores/memfd/handover-status.ts'
import type { HandOverStep } from '../../stores/store.ts'
import { EIO, ENOSPC, Errno } from '../../values/errno.ts'
import type { Fd, MemoryId } from '../../values/ids.ts'
import type { Custody } from '../memfd-table.ts'
import type { Luo } from './thread.ts'
import { IMAGE_TOKEN, MANIFEST_TOKEN, type Manifest, tokenOf, writeManifest } from './manifest.ts'
import { sessionName } from './session-names.ts'

interface Session {
  readonly name: string
  readonly fd: Fd
  readonly memories: MemoryId[]
}

export interface HandOverOptions {
  readonly pool: string
  readonly totalBlocks: () => number
  readonly custody: Custody
  readonly table: DescriptorTable
  readonly luo: Luo
  /** At most, in one session. */
  readonly sessionFiles: number
  /** A copy of each session is held elsewhere, too. */
  readonly share: (sessions: readonly Fd[]) => void
  /** Resolves when no copy is left elsewhere. */
  readonly unshare: () => Promise<void>
  readonly note: (line: string, details?: Record<string, unknown>) => void
}

export class HandOver {
  readonly #options: HandOverOptions
  readonly #words: HandOverWords
  #index: Session | undefined
  /** By step, in the order they were preserved. */
  readonly #sessions: Record<'ram' | 'files', Session[]> = { ram: [], files: [] }
  readonly #preserved = new Set<MemoryId>()
  /** One step at a time; taking back waits for the memory that is being preserved, not for its step. */
  #work: Promise<void> = Promise.resolve()
  #isTakenBack = false

  constructor(options: HandOverOptions) {
    this.#options = options
    this.#words = new HandOverWords(options.table.words)
  }

  /** Sessions of a keeper that died when everything was handed over: they stay as they are, and can be taken back. */
  inherit(sessions: readonly Fd[]): void {
    this.#sessions.files.push(...sessions.map((fd) => ({ name: '', fd, memories: [] })))
  }

  get sessions(): readonly Fd[] {
    const all = [this.#index, ...this.#sessions.ram, ...this.#sessions.files]
    return all.flatMap((session) => session?.fd ?? [])
  }

  /** `image`: with the last step; ours to close. */
  step(step: HandOverStep, image: Fd | undefined): void {
    this.#work = this.#work.then(async () => {
      try {
        if (!this.#isTakenBack) await this.#carryOut(step, image)
      } catch (error) {
        this.#words.failed(EIO, undefined)
        this.#options.note(`handing over ${step} failed: ${error instanceof Error ? error.message : error}`)
      }
      if (image !== undefined) close(image)
    })
  }

  /** Asked for once more it has no effect: a step may have begun since. */
  takeBack(): void {
    if (this.#words.state !== 'undoing') return
    this.#isTakenBack = true
    this.#work = this.#work.then(async () => {
      if (this.#words.state !== 'undoing') return
      const sessions = this.sessions
      // First, or a server that starts just now would be given copies again.
      this.#index = undefined
      this.#sessions.ram = []
      this.#sessions.files = []
      this.#preserved.clear()
      await this.#options.unshare()
      for (const fd of sessions) await this.#options.luo.close(fd)
      const { table, note } = this.#options
      for (const memory of table.memories())
        if (table.passage(memory) === 'leaving') table.setPassage(memory, 'none')
      this.#isTakenBack = false
      this.#words.undone()
      note('what was handed over is taken back', { sessions: sessions.length })
    })
  }

  async #carryOut(step: HandOverStep, image: Fd | undefined): Promise<void> {
    const failed =
      (await this.#openIndex()) ??
      (step === 'image' ? await this.#leaveImage(image) : await this.#leave(step))
    const { note } = this.#options
    if (failed === undefined) {
      if (this.#isTakenBack) return
      this.#words.done()
      note(`handed over: ${step}`, { memories: this.#preserved.size, sessions: this.sessions.length })
    } else {
      this.#words.failed(failed.errno, failed.memory)
      note(`handing over ${step} failed: ${failed.errno}`, { memory: failed.memory })
    }
  }

  /** First of all: a name that is taken is found out while everything can go on. */
  async #openIndex(): Promise<Failure | undefined> {
    if (this.#index !== undefined) return undefined
    const index = await this.#open(0)
    if (index instanceof Errno) return { errno: index }
    this.#index = index
    return undefined
  }

  async #open(number: number): Promise<Session | Errno> {
    const name = sessionName(this.#options.pool, number)
    const fd = await this.#options.luo.create(name)
    if (fd instanceof Errno) return fd
    this.#options.share([fd])
    return { name, fd, memories: [] }
  }

  async #leave(step: 'ram' | 'files'): Promise<Failure | undefined> {
    const { table, custody } = this.#options
    const leaving = [...table.memories()].filter(
      (memory) => table.passage(memory) === 'leaving' && !this.#preserved.has(memory),
    )
    for (const memory of leaving) {
      if (this.#isTakenBack) return undefined
      const fd = custody.descriptor(memory)
      const errno = fd === undefined ? EIO : await this.#preserve(step, memory, fd)
      if (errno !== undefined) return { errno, memory }
      this.#preserved.add(memory)
      this.#words.preservedOne()
    }
    return undefined
  }

  /** A session that takes no more, for whatever reason of its own, is followed by another. */
  async #preserve(step: 'ram' | 'files', memory: MemoryId, fd: Fd): Promise<Errno | undefined> {
    const sessions = this.#sessions[step]
    const last = sessions.at(-1)
    if (last !== undefined && last.memories.length < this.#options.sessionFiles) {
      const errno = await this.#preserveIn(last, memory, fd)
      if (errno !== ENOSPC) return errno
    }
    const next = await this.#open(this.sessions.length)
    if (next instanceof Errno) return next
    sessions.push(next)
    return await this.#preserveIn(next, memory, fd)
  }

  async #preserveIn(
    { fd: session, memories }: Session,
    memory: MemoryId,
    fd: Fd,
  ): Promise<Errno | undefined> {
    const errno = await this.#options.luo.preserve(session, fd, tokenOf(memory))
    if (errno === undefined) memories.push(memory)
    return errno
  }

  /** Ordinary files are wanted back first: they are small, and the guests' device state is among them. */
  async #leaveImage(image: Fd | undefined): Promise<Failure | undefined> {
    const { pool, totalBlocks, luo } = this.#options
    const index = this.#index
    if (index === undefined || image === undefined) return { errno: EIO }
    const sessions = [...this.#sessions.files, ...this.#sessions.ram].map(({ name, memories }) => ({
      name,
      memories,
    }))
    const manifest: Manifest = { format: 1, pool, totalBlocks: totalBlocks(), sessions }
    const fd = writeManifest(manifest)
    const errno =
      (await luo.preserve(index.fd, image, IMAGE_TOKEN)) ?? (await luo.preserve(index.fd, fd, MANIFEST_TOKEN))
    close(fd)
    if (errno !== undefined) return { errno }
    this.#words.preservedOne()
    return undefined
  }
}

interface Failure {
  readonly errno: Errno
  readonly memory?: MemoryId
}
