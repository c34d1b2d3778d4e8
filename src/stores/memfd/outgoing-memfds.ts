/**
 * The server's part of preserving memfds for the next kernel: it marks objects as outgoing in the descriptor
 * table before it asks the keeper to preserve them. From then on it neither resizes nor punches them, so that
 * the kernel never answers EPERM (`shmem_freeze`, mm/memfd_luo.c).
 */

import { close } from '../../linux/descriptors.ts'
import { memfdSize, resize, tryMemfdCreate, writeAllAt } from '../../linux/memory.ts'
import { EBUSY, EINVAL, EIO, Errno } from '../../values/errno.ts'
import type { HandoverStep } from '../../values/handover-step.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import type { Handover, HandoverStatus } from '../store.ts'
import type { DescriptorTable } from './descriptor-table.ts'
import { HandoverWords } from './handover-status.ts'
import { beginEvent } from './handover-transitions.ts'

/** The part of the channel to the keeper by which it preserves. False: the keeper is gone. */
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
  readonly #channel: OutgoingChannel
  readonly absent: Handover['absent']

  constructor(table: DescriptorTable, channel: OutgoingChannel, absent: Handover['absent']) {
    this.#table = table
    this.#words = new HandoverWords(table.words, 'server')
    this.#channel = channel
    this.absent = absent
  }

  get status(): HandoverStatus {
    return this.#words.status
  }

  /** From the first step until everything is unpreserved. */
  get isBusy(): boolean {
    return this.#words.state !== 'idle'
  }

  refusal(step: HandoverStep): Errno | undefined {
    if (this.#words.allows(beginEvent(step))) return undefined
    // In these two states another step can begin: this one is not the next.
    return this.#words.state === 'idle' || this.#words.state === 'preserved' ? EINVAL : EBUSY
  }

  preserve(step: 'ram' | 'files', objects: readonly ObjectId[]): void {
    // The words first: the next reader must not see the step before, and a server that dies in here leaves a
    // step that can be unpreserved.
    this.#words.begin(step, objects.length)
    for (const object of objects) this.#table.setState(object, 'outgoing')
    this.#request(step, undefined)
  }

  preserveImage(image: Uint8Array): Errno | undefined {
    const fd = tryMemfdCreate('guestmemfs:leaving-image', { sealable: false })
    if (fd instanceof Errno) return fd
    const failed = resize(fd, image.byteLength) ?? writeAllAt(fd, 0, image)
    if (failed === undefined) {
      this.#words.begin('image', 1)
      this.#request('image', fd)
    }
    close(fd)
    return failed
  }

  unpreserve(): void {
    this.#words.apply('unpreserve')
    if (this.#words.state === 'idle') return
    // Sent again where a former server died before the keeper received it; a keeper that died holds nothing
    // any more.
    if (!this.#channel.unpreserve()) this.keeperDied()
  }

  recover(isFrozen: boolean): void {
    const { state, last } = this.#words
    // A thaw, or an unpreserve, that the former server had not finished when it died.
    if (state === 'unpreserving' || (!isFrozen && (last === 'files' || last === 'image'))) this.unpreserve()
  }

  /**
   * The keeper died: this server's copies of the sessions hold a complete handover for the next keeper; any
   * other has ended.
   */
  keeperDied(): void {
    if (this.#words.state === 'idle' || this.#words.isComplete) return
    this.#channel.closeSessions()
    if (this.#words.state === 'unpreserving')
      for (const object of this.#table.objects())
        if (this.#table.state(object) === 'outgoing') this.#table.setState(object, 'present')
    if (this.#words.state === 'preserving') this.#words.fail(EIO, undefined)
    this.#words.apply('keeper died')
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

  #request(step: HandoverStep, image: Fd | undefined): void {
    if (!this.#channel.preserve(step, image)) this.#words.fail(EIO, undefined)
  }
}
