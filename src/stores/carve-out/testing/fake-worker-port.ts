/**
 * A worker of a fake region, without a thread: carries out jobs when the test calls `work`, and reports them
 * at the next `drain`.
 */
import type { DeviceNumber, NodeOwner } from '../../../linux/device-node.ts'
import { lowerEventfd, makeEventfd, raiseEventfd } from '../../../linux/eventfd.ts'
import type { Errno } from '../../../values/errno.ts'
import type { ObjectId } from '../../../values/ids.ts'
import type { Nodes } from '../../dax/guest-nodes.ts'
import type { JobKind, Ranges, Result } from '../jobs.ts'
import { WorkQueue } from '../work-queue.ts'
import type { WorkerPort } from '../worker-client.ts'
import type { FakeRegion } from './fake-region.ts'

export class FakeWorkerPort implements WorkerPort {
  readonly wake = makeEventfd()
  progressBytes = 0
  readonly checkMs = undefined
  readonly #work: WorkQueue
  readonly #waiting = new Map<number, (result: Result) => void>()
  #finished: Result[] = []
  #lastId = 0

  constructor(region: FakeRegion) {
    this.#work = new WorkQueue({
      mapper: region,
      progress: (doneBytes) => {
        this.progressBytes = doneBytes
      },
      finish: ({ id }, outcome) => {
        this.#finished.push({ id, ...outcome })
        raiseEventfd(this.wake)
      },
    })
  }

  send(kind: JobKind, ranges: Ranges, done: (result: Result) => void, { gigantic = false } = {}): void {
    const id = ++this.#lastId
    this.#waiting.set(id, done)
    this.#work.add({ id, kind, ranges, gigantic })
  }

  check(): void {}

  drain(): void {
    lowerEventfd(this.wake)
    for (const result of this.#finished.splice(0)) this.#waiting.get(result.id)?.(result)
  }

  /** Carries out all that needs no waiting. */
  work(): void {
    while (this.#work.step() === 0);
  }
}

/** Nodes without a file system. */
export class FakeNodes implements Nodes {
  readonly nodes = new Map<ObjectId, NodeOwner & { readonly device: DeviceNumber }>()
  /** Answered once each by the next nodes that are made. */
  readonly refusals: Errno[] = []
  /** The same for nodes that are removed. */
  readonly removals: Errno[] = []

  path(object: ObjectId): string {
    return `/fake/${object}`
  }

  owner(object: ObjectId, device: DeviceNumber): NodeOwner | undefined {
    const node = this.nodes.get(object)
    return node?.device === device ? node : undefined
  }

  make(object: ObjectId, device: DeviceNumber, owner: NodeOwner): Errno | undefined {
    const refused = this.refusals.shift()
    if (refused === undefined) this.nodes.set(object, { ...owner, device })
    return refused
  }

  remove(object: ObjectId): Errno | undefined {
    const refused = this.removals.shift()
    if (refused === undefined) this.nodes.delete(object)
    return refused
  }

  readNodes(devices: ReadonlySet<DeviceNumber>): Map<ObjectId, DeviceNumber> {
    for (const [object, { device }] of this.nodes) if (!devices.has(device)) this.nodes.delete(object)
    return new Map([...this.nodes].map(([object, { device }]) => [object, device]))
  }
}
