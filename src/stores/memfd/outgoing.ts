/**
 * Owns the server's part of handing memfds over to the next kernel: it says which memories leave, in the descriptor table, before the
 * keeper is asked to preserve them. From then on it neither resizes nor punches them, so nothing here can meet the
 * kernel's EPERM (`shmem_freeze`, mm/memfd_luo.c).
 */
import { close } from '../../linux/descriptors.ts'
import { memfdCreate, memfdSize, resize, writeAt } from '../../linux/memory.ts'
import { EIO } from '../../values/errno.ts'
import type { Fd, MemoryId } from '../../values/ids.ts'
import type { DescriptorTable } from './descriptor-table.ts'
import { HandOverWords } from './handover-status.ts'
import type { HandOver, HandOverStatus, HandOverStep } from '../store.ts'

/** The keeper's end, as far as it preserves. False: the keeper is gone. */
export interface Handing {
  /** `image`: with the last step alone. */
  handOver(step: HandOverStep, image: Fd | undefined): boolean
  takeBack(): boolean
  /** Of those that are held here in case the keeper dies. */
  closeSessions(): void
}

export class MemfdHandOver implements HandOver {
  readonly #table: DescriptorTable
  readonly #words: HandOverWords
  readonly #handing: Handing

  constructor(table: DescriptorTable, handing: Handing) {
    this.#table = table
    this.#words = new HandOverWords(table.words)
    this.#handing = handing
  }

  get status(): HandOverStatus {
    return this.#words.status
  }

  /** From the first step until everything was taken back. */
  get isUnderWay(): boolean {
    return this.#words.state !== 'idle'
  }

  begin(step: 'ram' | 'files', memories: readonly MemoryId[]): void {
    // The words first: whoever asks next must not see the step before, and a server that dies in here leaves a step that can be taken back.
    this.#words.begin(step, memories.length)
    for (const memory of memories) this.#table.setPassage(memory, 'leaving')
    this.#ask(step, undefined)
  }

  finish(image: Uint8Array): void {
    const fd = memfdCreate('guestmemfs:leaving-image', { sealable: false })
    resize(fd, image.byteLength)
    writeAt(fd, 0, image)
    this.#words.begin('image', 1)
    this.#ask('image', fd)
    close(fd)
  }

  takeBack(): void {
    if (this.#words.state === 'idle') return
    this.#words.undoing()
    // Said again where a server died before it was heard; a keeper that is gone holds nothing any more.
    if (!this.#handing.takeBack()) this.keeperGone()
  }

  recover(isFrozen: boolean): void {
    const { step, state } = this.#words.status
    // A thaw that its server did not live to end, or a taking back.
    if (state === 'undoing' || (!isFrozen && (step === 'files' || step === 'image'))) this.takeBack()
  }

  /** Whoever preserved is gone: what is whole stays held here, for the next keeper; anything else is over. */
  keeperGone(): void {
    const { step, state } = this.#words.status
    if (state === 'idle' || (step === 'image' && state === 'done')) return
    this.#handing.closeSessions()
    this.#words.failed(EIO, undefined)
    if (state !== 'undoing') return
    for (const memory of this.#table.memories())
      if (this.#table.passage(memory) === 'leaving') this.#table.setPassage(memory, 'none')
    this.#words.undone()
  }

  holeBytes(memories: Iterable<MemoryId>): number {
    let bytes = 0
    for (const memory of memories) {
      const fd = this.#table.get(memory, 'server')
      if (fd === undefined) continue
      const { sizeBytes, allocatedBytes } = memfdSize(fd)
      bytes += Math.max(0, sizeBytes - allocatedBytes)
    }
    return bytes
  }

  #ask(step: HandOverStep, image: Fd | undefined): void {
    if (!this.#handing.handOver(step, image)) this.#words.failed(EIO, undefined)
  }
}
