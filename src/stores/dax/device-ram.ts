/**
 * Owns what leads a guest to its RAM: one device per memory, made when somebody follows the file's link, and
 * the node that shows it. And the way back: unpublish, look for holders, take the device apart. A device that
 * somebody maps is never touched.
 *
 * Dying at any point leaves what the next start finds: a node and its device (published), a device without a
 * node (being given up, or never shown: it stays as long as it is held), or no device.
 */

import { sameRanges } from '../../linux/dax-device.ts'
import type { DeviceNumber } from '../../linux/device-node.ts'
import type { Holder } from '../../linux/holders.ts'
import { anyOverlap } from '../../linux/memory-ranges.ts'
import { EBUSY, type Errno, errnoFromCode } from '../../values/errno.ts'
import type { ObjectId } from '../../values/ids.ts'
import { type Refusal, WAIT_FOR_STORE, type Wait } from '../../values/refusal.ts'
import type { DataChunks } from '../carve-out/data-chunks.ts'
import type { GuestRam } from '../carve-out/guest-ram.ts'
import type { Instance } from '../carve-out/instances.ts'
import type { Ranges, Result } from '../carve-out/jobs.ts'
import { type Layout, rangesOf } from '../carve-out/layout.ts'
import type { WorkerPort } from '../carve-out/worker-client.ts'
import type { Exposure, Extent, Owner, Placement } from '../store.ts'
import type { Nodes } from './guest-nodes.ts'

/** After somebody was found to hold a memory, nobody is looked for again before so long. */
const LOOK_AGAIN_MS = 1000

/** What is known of one memory's way to a guest. */
interface Way {
  /** Devices of ours that lie across its blocks: one that is exactly it, or what a crash left. */
  devices: { readonly number: DeviceNumber; readonly ranges: Ranges }[]
  underWay: boolean
  /** Told once, to whoever asks next. */
  failed: Errno | undefined
  heldBy: Holder | undefined
  lookAgainAtMs: number
  isReleased: boolean
}

export class DaxGuestRam implements GuestRam {
  readonly #layout: Layout
  readonly #worker: WorkerPort
  readonly #nodes: Nodes
  readonly #chunks: DataChunks
  /** What a former server left. */
  readonly #found: readonly Instance[]
  readonly #ways = new Map<ObjectId, Way>()

  constructor(given: {
    layout: Layout
    worker: WorkerPort
    nodes: Nodes
    chunks: DataChunks
    found: readonly Instance[]
  }) {
    this.#layout = given.layout
    this.#worker = given.worker
    this.#nodes = given.nodes
    this.#chunks = given.chunks
    this.#found = given.found
    const numbers = new Set(given.found.map(({ number }) => number))
    // Of their devices only the nodes of a former server tell.
    for (const [object, device] of this.#nodes.takeStock(numbers))
      this.#way(object).devices = this.#found.filter(({ number }) => number === device)
  }

  left(): ObjectId[] {
    return [...this.#ways.keys()]
  }

  /** After a start: whatever lies across its blocks leads to this memory. */
  adopt(object: ObjectId, extents: readonly Extent[]): void {
    const ranges = rangesOf(this.#layout, extents)
    const devices = this.#found.filter((instance) => anyOverlap(instance.ranges, ranges))
    if (devices.length > 0) this.#way(object).devices = devices
    const [device] = devices
    if (device === undefined || devices.length > 1 || !sameRanges(device.ranges, ranges))
      this.#nodes.remove(object)
  }

  /** The next to follow the link finds a device that is exactly this: `publish` sees to it. */
  resize(): undefined {}

  expose(object: ObjectId): Exposure {
    const [major, minor] = this.#device(object)?.split(':').map(Number) ?? []
    return { kind: 'device', path: this.nodePath(object), major, minor }
  }

  nodePath(object: ObjectId): string {
    return this.#nodes.path(object)
  }

  nodeOwner(object: ObjectId): Owner | undefined {
    const device = this.#device(object)
    return device === undefined ? undefined : this.#nodes.owner(object, device)
  }

  #device(object: ObjectId): DeviceNumber | undefined {
    return this.#ways.get(object)?.devices[0]?.number
  }

  /** A process that was found to map it, when last looked. */
  holder(object: ObjectId): Holder | undefined {
    return this.#ways.get(object)?.heldBy
  }

  /** Refusals: EBUSY (a process still maps blocks of it by an older device), ENOMEM, EIO; a Wait. */
  publish(object: ObjectId, { extents, gigantic }: Placement, owner: Owner): Refusal | undefined {
    const way = this.#way(object)
    if (way.underWay) return WAIT_FOR_STORE
    const { failed } = way
    way.failed = undefined
    if (failed) return failed
    const ranges = rangesOf(this.#layout, extents)
    const [device] = way.devices
    if (device !== undefined && way.devices.length === 1 && sameRanges(device.ranges, ranges)) {
      if (this.#nodes.owner(object, device.number) === undefined)
        this.#nodes.make(object, device.number, owner)
      return undefined
    }
    if (device !== undefined) return this.isHeld(object) === WAIT_FOR_STORE ? WAIT_FOR_STORE : EBUSY
    const inTheWay = this.#chunks.yield(extents)
    if (inTheWay) return inTheWay
    const done = (result: Result): void => {
      if (result.kind === 'made') way.devices = [{ number: result.number, ranges }]
      if (result.kind === 'failed') way.failed = errnoFromCode(result.errnoCode)
    }
    this.#begin(way, 'make', ranges, done, gigantic)
    return WAIT_FOR_STORE
  }

  /**
   * The first question unpublishes: from then on only who holds it already can reach it. A Wait until the
   * worker has looked. False: it found nobody, and has taken the device apart. True: somebody holds it; asked
   * again after a while, it looks again.
   */
  isHeld(object: ObjectId): boolean | Wait {
    const way = this.#ways.get(object)
    if (way === undefined) return false
    if (way.underWay) return WAIT_FOR_STORE
    if (way.devices.length === 0) return false
    this.#nodes.remove(object)
    if (performance.now() < way.lookAgainAtMs) return true
    this.#free(way)
    return WAIT_FOR_STORE
  }

  /**
   * No inode owns it any more. What is held all the same stays, and is in the way of whoever gets its blocks.
   */
  release(object: ObjectId): void {
    this.#nodes.remove(object)
    const way = this.#ways.get(object)
    if (way === undefined) return
    this.#ways.delete(object)
    way.isReleased = true
    if (way.devices.length > 0 && !way.underWay) this.#free(way)
  }

  #free(way: Way): void {
    const ranges = way.devices.flatMap((device) => device.ranges)
    this.#begin(way, 'free', ranges, (result) => {
      way.heldBy = result.kind === 'held' ? result.by : undefined
      if (result.kind === 'done') way.devices = []
      else way.lookAgainAtMs = performance.now() + LOOK_AGAIN_MS
    })
  }

  #begin(
    way: Way,
    kind: 'make' | 'free',
    ranges: Ranges,
    done: (result: Result) => void,
    gigantic = false,
  ): void {
    way.underWay = true
    const ended = (result: Result): void => {
      way.underWay = false
      done(result)
      // Its file went while its device was made.
      if (way.isReleased && kind === 'make' && way.devices.length > 0) this.#free(way)
    }
    this.#worker.ask(kind, ranges, ended, { gigantic })
  }

  #way(object: ObjectId): Way {
    let way = this.#ways.get(object)
    if (way === undefined) {
      way = {
        devices: [],
        underWay: false,
        failed: undefined,
        heldBy: undefined,
        lookAgainAtMs: 0,
        isReleased: false,
      }
      this.#ways.set(object, way)
    }
    return way
  }
}
