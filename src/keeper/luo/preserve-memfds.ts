/**
 * Outgoing live update sessions of a pool of memfds: which memory object is preserved in which session.
 * Everything can be unpreserved until the kexec. The server decides which objects are outgoing and marks them
 * in the descriptor table; the keeper preserves them. The keeper holds the sessions, and the server copies of
 * them, in case the keeper ends.
 */

import { close } from '../../linux/descriptors.ts'
import type { DescriptorTable } from '../../stores/memfd/descriptor-table.ts'
import { HandoverWords } from '../../stores/memfd/handover-status.ts'
import { EIO, ENOSPC, Errno, ETIMEDOUT } from '../../values/errno.ts'
import { errorText } from '../../values/errors.ts'
import type { HandoverStep } from '../../values/handover-step.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import type { MemfdTable } from '../memfd-table.ts'
import {
  IMAGE_TOKEN,
  MANIFEST_FORMAT,
  MANIFEST_TOKEN,
  type Manifest,
  tokenOf,
  writeManifest,
} from './manifest.ts'
import { sessionName } from './session-names.ts'
import type { Luo } from './thread.ts'

interface Session {
  readonly name: string
  readonly fd: Fd
  readonly objects: ObjectId[]
}

export interface OutgoingDeps {
  readonly pool: string
  readonly totalBlocks: () => number
  readonly memfds: MemfdTable
  readonly table: DescriptorTable
  readonly luo: Luo
  /** At most, in one session. */
  readonly sessionFiles: number
  /** Sends the server a copy of each session. */
  readonly share: (sessions: readonly Fd[]) => void
  /** Resolves when the server holds no copy any more. */
  readonly unshare: () => Promise<void>
  readonly log: (line: string, details?: Record<string, unknown>) => void
}

export class OutgoingSessions {
  readonly #options: OutgoingDeps
  readonly #words: HandoverWords
  #index: Session | undefined
  /** By step, in the order they were preserved. */
  readonly #sessions: Record<'ram' | 'files', Session[]> = { ram: [], files: [] }
  readonly #preserved = new Set<ObjectId>()
  /** One step at a time; unpreserving waits for the object that is being preserved, not for its step. */
  #work: Promise<void> = Promise.resolve()
  #isUnpreserved = false
  /**
   * Objects whose preserve call has not returned: the kernel may hold them already, and the call may never
   * return. They stay `outgoing`, so that the server refuses what the kernel would refuse.
   */
  readonly #unanswered = new Set<ObjectId>()

  constructor(options: OutgoingDeps) {
    this.#options = options
    this.#words = new HandoverWords(options.table.words, 'keeper')
  }

  /**
   * Takes over the sessions of a keeper that died when everything was preserved: they can still be
   * unpreserved.
   */
  adopt(sessions: readonly Fd[]): void {
    this.#sessions.files.push(...sessions.map((fd) => ({ name: '', fd, objects: [] })))
  }

  get sessions(): readonly Fd[] {
    const all = [this.#index, ...this.#sessions.ram, ...this.#sessions.files]
    return all.flatMap((session) => session?.fd ?? [])
  }

  /** `image`: with the last step; closed here. */
  preserve(step: HandoverStep, image: Fd | undefined): void {
    this.#work = this.#work.then(async () => {
      try {
        if (!this.#isUnpreserved) await this.#preserveStep(step, image)
      } catch (error) {
        this.#words.fail(EIO, undefined)
        this.#options.log(`handing over ${step} failed: ${errorText(error)}`)
      }
      if (image !== undefined) close(image)
    })
  }

  /** Has an effect only in the state `unpreserving`: a step may have begun since the request. */
  unpreserve(): void {
    if (this.#words.state !== 'unpreserving') return
    this.#isUnpreserved = true
    this.#work = this.#work.then(async () => {
      if (this.#words.state !== 'unpreserving') return
      const sessions = this.sessions
      // First, or a server that starts meanwhile would be sent copies again.
      this.#index = undefined
      this.#sessions.ram = []
      this.#sessions.files = []
      this.#preserved.clear()
      await this.#options.unshare()
      for (const fd of sessions) await this.#options.luo.close(fd)
      const { table, log } = this.#options
      for (const object of table.objects()) if (!this.#unanswered.has(object)) this.#present(object)
      this.#isUnpreserved = false
      this.#words.apply('unpreserved')
      log('everything is unpreserved', { sessions: sessions.length })
      if (this.#unanswered.size > 0) void this.#whenAnswered([...this.#unanswered])
    })
  }

  #present(object: ObjectId): void {
    const { table } = this.#options
    if (table.state(object) === 'outgoing') table.setState(object, 'present')
  }

  /**
   * The session of such an object is closed, and ends with the call that is under way in it: when that
   * returns, the kernel has released both, in this order and before the caller's thread continues (fput, run
   * as task work).
   */
  async #whenAnswered(objects: readonly ObjectId[]): Promise<void> {
    const { luo, log } = this.#options
    log('the kernel has not answered for these: until it does they can be neither resized nor freed', {
      objects,
    })
    await luo.settled()
    for (const object of objects) {
      this.#unanswered.delete(object)
      // Another step may have begun meanwhile, which has them again.
      if (!this.#preserved.has(object)) this.#present(object)
    }
    log('the kernel has answered for these objects', { objects })
  }

  async #preserveStep(step: HandoverStep, image: Fd | undefined): Promise<void> {
    const failed =
      (await this.#openIndex()) ??
      (step === 'image' ? await this.#preserveImage(image) : await this.#preserveObjects(step))
    const { log } = this.#options
    if (failed === undefined) {
      if (this.#isUnpreserved) return
      this.#words.apply('done')
      log(`handed over: ${step}`, { memories: this.#preserved.size, sessions: this.sessions.length })
    } else {
      this.#words.fail(failed.errno, failed.object)
      log(`handing over ${step} failed: ${failed.errno}`, { object: failed.object })
    }
  }

  /** Opened first, so that a name that is taken is found while guests still run. */
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
    return { name, fd, objects: [] }
  }

  async #preserveObjects(step: 'ram' | 'files'): Promise<Failure | undefined> {
    const { table, memfds } = this.#options
    const outgoing = [...table.objects()].filter(
      (object) => table.state(object) === 'outgoing' && !this.#preserved.has(object),
    )
    for (const object of outgoing) {
      if (this.#isUnpreserved) return undefined
      const fd = memfds.descriptor(object)
      const errno = fd === undefined ? EIO : await this.#preserveObject(step, object, fd)
      if (errno !== undefined) return { errno, object }
      this.#preserved.add(object)
      this.#words.preservedOne()
    }
    return undefined
  }

  /** Where a session takes no more objects (ENOSPC), opens another. */
  async #preserveObject(step: 'ram' | 'files', object: ObjectId, fd: Fd): Promise<Errno | undefined> {
    const sessions = this.#sessions[step]
    const last = sessions.at(-1)
    if (last !== undefined && last.objects.length < this.#options.sessionFiles) {
      const errno = await this.#preserveIn(last, object, fd)
      if (errno !== ENOSPC) return errno
    }
    const next = await this.#open(this.sessions.length)
    if (next instanceof Errno) return next
    sessions.push(next)
    return await this.#preserveIn(next, object, fd)
  }

  async #preserveIn({ fd: session, objects }: Session, object: ObjectId, fd: Fd): Promise<Errno | undefined> {
    const errno = await this.#options.luo.preserve(session, fd, tokenOf(object))
    if (errno === undefined) objects.push(object)
    if (errno === ETIMEDOUT) this.#unanswered.add(object)
    return errno
  }

  /**
   * The manifest lists sessions of ordinary files first: they are small, and the guests' device state is
   * among them.
   */
  async #preserveImage(image: Fd | undefined): Promise<Failure | undefined> {
    const { pool, totalBlocks, luo } = this.#options
    const index = this.#index
    if (index === undefined || image === undefined) return { errno: EIO }
    const sessions = [...this.#sessions.files, ...this.#sessions.ram].map(({ name, objects }) => ({
      name,
      memories: objects,
    }))
    const manifest: Manifest = { format: MANIFEST_FORMAT, pool, totalBlocks: totalBlocks(), sessions }
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
  readonly object?: ObjectId
}
