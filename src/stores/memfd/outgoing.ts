/**
 * The server's part of preserving memfds for the next kernel: it marks objects as outgoing in the descriptor table before it asks the
 * keeper to preserve them. From then on it neither resizes nor punches them, so that the kernel never answers EPERM
 * (`shmem_freeze`, mm/memfd_luo.c).
 */
import { close } from '../../linux/descriptors.ts'
import { memfdCreate, memfdSize, resize, writeAt } from '../../linux/memory.ts'
import { EIO } from '../../values/errno.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import type { Handover, HandoverStatus, HandoverStep } from '../store.ts'
import type { DescriptorTable } from './descriptor-table.ts'
import { HandoverWords } from './handover-status.ts'

/** The keeper's end, as far as it preserves. False: the keeper is gone. */
export interface OutgoingChannel {
  /** `image`: with the last step alone. */
  preserve(step: HandoverStep, image: Fd | undefined): boolean
  unpreserve(): boolean
  /** Closes the copies that this process holds in case the keeper dies. */
  closeSessions(): void
}

export class OutgoingMemfds implements Handover {
  readonly #table: DescriptorTable
  readonly #words: HandoverWords
  readonly #handing: OutgoingChannel

  constructor(table: DescriptorTable, handing: OutgoingChannel) {
    this.#table = table
    this.#words = new HandoverWords(table.words)
    this.#handing = handing
  }

  get status(): HandoverStatus {
    return this.#words.status
  }

  /** From the first step until everything is unpreserved. */
  get isBusy(): boolean {
    return this.#words.state !== 'idle'
  }

  preserve(step: 'ram' | 'files', objects: readonly ObjectId[]): void {
    // The words first: the next reader must not see the step before, and a server that dies in here leaves a step that can be unpreserved.
    this.#words.busy(step, objects.length)
    for (const object of objects) this.#table.setState(object, 'outgoing')
    this.#ask(step, undefined)
  }

  preserveImage(image: Uint8Array): void {
    const fd = memfdCreate('guestmemfs:leaving-image', { sealable: false })
    resize(fd, image.byteLength)
    writeAt(fd, 0, image)
    this.#words.busy('image', 1)
    this.#ask('image', fd)
    close(fd)
  }

  unpreserve(): void {
    if (this.#words.state === 'idle') return
    this.#words.unpreserving()
    // Sent again where a server died before it was received; a keeper that died holds nothing any more.
    if (!this.#handing.unpreserve()) this.keeperDied()
  }

  recover(isFrozen: boolean): void {
    const { step, state } = this.#words.status
    // A thaw, or an unpreserve, that the former server did not live to end.
    if (state === 'undoing' || (!isFrozen && (step === 'files' || step === 'image'))) this.unpreserve()
  }

  /** The keeper died: a complete handover stays held by this server's copies, for the next keeper; any other is over. */
  keeperDied(): void {
    const { step, state } = this.#words.status
    if (state === 'idle' || (step === 'image' && state === 'done')) return
    this.#handing.closeSessions()
    this.#words.failed(EIO, undefined)
    if (state !== 'undoing') return
    for (const object of this.#table.objects())
      if (this.#table.state(object) === 'outgoing') this.#table.setState(object, 'present')
    this.#words.idle()
  }

  holeBytes(objects: Iterable<ObjectId>): number {
    let bytes = 0
    for (const object of objects) {
      const fd = this.#table.get(object, 'server')
      if (fd === undefined) continue
      const { sizeBytes, allocatedBytes } = memfdSize(fd)
      bytes += Math.max(0, sizeBytes - allocatedBytes)
    }
    return bytes
  }

  #ask(step: HandoverStep, image: Fd | undefined): void {
    if (!this.#handing.preserve(step, image)) this.#words.failed(EIO, undefined)
  }
}
