/** Owns working on a fake region without a thread: jobs are carried out when the test says so, and told of at the next `drain`. */

import type { DeviceNumber, NodeOwner } from '../../../linux/device-node.ts'
import { lowerEventfd, makeEventfd, raiseEventfd } from '../../../linux/eventfd.ts'
import type { MemoryId } from '../../../values/ids.ts'
import type { Nodes } from '../../dax/guest-nodes.ts'
import type { Hands } from '../worker-client.ts'
import type { Kind, Ranges, Result } from '../jobs.ts'
import { Work } from '../work-queue.ts'
import type { FakeRegion } from './fake-region.ts'

export class FakeHands implements Hands {
  readonly wake = makeEventfd()
  progressBytes = 0
  readonly #work: Work
  readonly #waiting = new Map<number, (result: Result) => void>()
  #finished: Result[] = []
  #lastId = 0

  constructor(region: FakeRegion) {
    this.#work = new Work({
      instances: region,
      progress: (doneBytes) => {
        this.progressBytes = doneBytes
      },
      finish: ({ id }, outcome) => {
        this.#finished.push({ id, ...outcome })
        raiseEventfd(this.wake)
      },
    })
  }

  ask(kind: Kind, ranges: Ranges, done: (result: Result) => void, { gigantic = false } = {}): void {
    const id = ++this.#lastId
    this.#waiting.set(id, done)
    this.#work.add({ id, kind, ranges, gigantic })
  }

  drain(): void {
    lowerEventfd(this.wake)
    for (const result of this.#finished.splice(0)) this.#waiting.get(result.id)?.(result)
  }

  /** As far as it goes without waiting. */
  work(): void {
    while (this.#work.step() === 0);
  }
}

/** Nodes without a file system. */
export class FakeNodes implements Nodes {
  readonly nodes = new Map<MemoryId, NodeOwner & { readonly device: DeviceNumber }>()

  path(memory: MemoryId): string {
    return `/fake/${memory}`
  }

  owner(memory: MemoryId, device: DeviceNumber): NodeOwner | undefined {
    const node = this.nodes.get(memory)
    return node?.device === device ? node : undefined
  }

  make(memory: MemoryId, device: DeviceNumber, owner: NodeOwner): void {
    this.nodes.set(memory, { ...owner, device })
  }

  remove(memory: MemoryId): void {
    this.nodes.delete(memory)
  }

  takeStock(devices: ReadonlySet<DeviceNumber>): Map<MemoryId, DeviceNumber> {
    for (const [memory, { device }] of this.nodes) if (!devices.has(device)) this.nodes.delete(memory)
    return new Map([...this.nodes].map(([memory, { device }]) => [memory, device]))
  }
}
