/**
 * A store on a fake region, with a worker and nodes of the test, which can be started again as after the
 * death of a server or after a kexec.
 */
import assert from 'node:assert/strict'
import { waitReadable } from '../../../linux/descriptors.ts'
import { Errno } from '../../../values/errno.ts'
import type { Fd, ObjectId } from '../../../values/ids.ts'
import { Wait } from '../../../values/refusal.ts'
import { DaxGuestRam } from '../../dax/dax-guest-ram.ts'
import { BLOCK_BYTES, CHUNK_BLOCKS, type Owner, type Placement } from '../../store.ts'
import { CarveOutFailures, type FailureLog } from '../carve-out-failures.ts'
import { CarveOutStore } from '../carve-out-store.ts'
import { DataChunks } from '../data-chunks.ts'
import { gibibyteFrames } from '../layout.ts'
import { FakeRegion } from './fake-region.ts'
import { FakeNodes, FakeWorkerPort } from './fake-worker-port.ts'

export const OWNER = { uid: 1, gid: 2, mode: 0o600 }
export const RAM: Placement = {
  sizeBytes: 3 * BLOCK_BYTES,
  extents: [
    { start: 2, count: 1 },
    { start: 6, count: 2 },
  ],
  guestRam: true,
}

export class CarveOutFixture {
  readonly region = new FakeRegion(4 + 3 * CHUNK_BLOCKS)
  readonly nodes = new FakeNodes()
  /** The kernel's log: pages that it says have failed, until they are read. */
  readonly failedPages: number[] = []
  log: FailureLog | Errno = {
    fd: -1 as Fd,
    read: () => ({ pages: this.failedPages.splice(0), gaps: 0, isMore: false }),
  }
  worker = new FakeWorkerPort(this.region)
  store = this.#open()

  /** The server dies: what is in its memory is gone, devices and nodes stay. */
  restart(): void {
    this.worker = new FakeWorkerPort(this.region)
    this.store = this.#open()
  }

  /** A kexec: the region is whole again, /dev is empty. */
  kexec(): void {
    this.region.instances.clear()
    this.nodes.nodes.clear()
    this.restart()
  }

  settle<T>(ask: () => T | Wait): T {
    for (let times = 0; times < 20; times++) {
      const answer = ask()
      if (!(answer instanceof Wait)) return answer
      this.worker.work()
      // A server calls again only when it is woken.
      assert.ok(waitReadable(this.worker.wake, 0), 'it waits, and would not be woken')
      this.store.events.drain()
    }
    throw new Error('it waits for ever')
  }

  publish(object: ObjectId, placement = RAM): Errno | undefined {
    return this.settle(() => this.store.ram.publish(object, placement, OWNER)) as Errno | undefined
  }

  ownerOf(object: ObjectId): Owner | undefined {
    const owner = this.store.ram.owner(object)
    if (owner instanceof Errno) throw new Error(owner.name)
    return owner
  }

  isHeld(object: ObjectId): boolean {
    return this.settle(() => this.store.isHeld(object))
  }

  #open(): CarveOutStore<DaxGuestRam> {
    const { layout } = this.region
    const { worker, nodes } = this
    const chunks = new DataChunks(layout, worker)
    const ram = new DaxGuestRam({ layout, worker, nodes, chunks, found: [...this.region.instances.values()] })
    return new CarveOutStore({
      kind: 'dax',
      contiguous: false,
      frames: gibibyteFrames(layout),
      layout,
      nodes: [],
      metadata: new Uint8Array(4096),
      worker,
      chunks,
      ram,
      failures: new CarveOutFailures(layout, chunks, this.log),
    })
  }
}
