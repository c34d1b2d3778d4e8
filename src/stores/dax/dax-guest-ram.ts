/**
 * Guest RAM that is mapped by device-dax: one device an object, made when the file's link is read, and the
 * node that leads to it. To release an object, it removes the node, searches for holders, and destroys the
 * device. It never changes a device that a process maps.
 *
 * A server that dies at any point leaves what the next start finds: a node and its device (published), a
 * device without a node (being released, or not yet published: it stays as long as it is held), or no device.
 */
import { sameRanges } from '../../linux/dax-device.ts'
import type { DeviceNumber } from '../../linux/device-node.ts'
import type { Holder } from '../../linux/holders.ts'
import { anyOverlap } from '../../linux/memory-ranges.ts'
import { EBUSY, EINVAL, Errno, errnoFromCode } from '../../values/errno.ts'
import type { ObjectId } from '../../values/ids.ts'
import type { Mapping } from '../../values/mapping.ts'
import { type Refusal, WAIT_FOR_STORE, Wait } from '../../values/refusal.ts'
import type { RamBlocks } from '../carve-out/carve-out-ram.ts'
import type { DataChunks } from '../carve-out/data-chunks.ts'
import type { Ranges, Result } from '../carve-out/jobs.ts'
import { type RegionLayout, rangesOf } from '../carve-out/layout.ts'
import type { Instance } from '../carve-out/range-mapper.ts'
import type { WorkerPort } from '../carve-out/worker-client.ts'
import type { Extent, NodeRam, Owner, Placement } from '../store.ts'
import type { Nodes } from './guest-nodes.ts'

/** After a search has found a process that holds an object, the store asks for the next one no earlier. */
const LOOK_AGAIN_MS = 1000

/** The devices and the node of one object, as far as this server has seen them. */
interface NodeState {
  /** Devices that lie across its blocks: one that covers exactly them, or what a crash left. */
  devices: { readonly number: DeviceNumber; readonly ranges: Ranges }[]
  /** The worker makes its device, or searches for holders. */
  isBusy: boolean
  /** Reported once, to the next caller. */
  failed: Errno | undefined
  heldBy: Holder | undefined
  lookAgainAtMs: number
  isReleased: boolean
}

export class DaxGuestRam implements NodeRam, RamBlocks {
  readonly via = 'dax-node'
  readonly #layout: RegionLayout
  readonly #worker: WorkerPort
  readonly #nodes: Nodes
  readonly #chunks: DataChunks
  /** What a former server left. */
  readonly #found: readonly Instance[]
  readonly #states = new Map<ObjectId, NodeState>()

  constructor(deps: {
    layout: RegionLayout
    worker: WorkerPort
    nodes: Nodes
    chunks: DataChunks
    found: readonly Instance[]
  }) {
    this.#layout = deps.layout
    this.#worker = deps.worker
    this.#nodes = deps.nodes
    this.#chunks = deps.chunks
    this.#found = deps.found
    const numbers = new Set(deps.found.map(({ number }) => number))
    // Which device belongs to which object is known only from the nodes that a former server made.
    for (const [object, device] of this.#nodes.readNodes(numbers))
      this.#stateOf(object).devices = this.#found.filter(({ number }) => number === device)
  }

  left(): ObjectId[] {
    return [...this.#states.keys()]
  }

  /** After a start: each device that lies across these blocks belongs to this object. */
  adopt(object: ObjectId, extents: readonly Extent[]): void {
    const ranges = rangesOf(this.#layout, extents)
    const devices = this.#found.filter((instance) => anyOverlap(instance.ranges, ranges))
    if (devices.length > 0) this.#stateOf(object).devices = devices
    const [device] = devices
    if (device === undefined || devices.length > 1 || !sameRanges(device.ranges, ranges))
      this.#nodes.remove(object)
  }

  /**
   * Nothing to do: at the next read of the link `publish` makes a device that covers exactly the new blocks.
   */
  resize(): undefined {}

  mapping(object: ObjectId, { guestRam }: Placement): Extract<Mapping, { via: 'dax-node' | 'none' }> {
    if (!guestRam) return { via: 'none' }
    const [major, minor] = this.#device(object)?.split(':').map(Number) ?? []
    const device = major === undefined || minor === undefined ? undefined : { major, minor }
    return { via: 'dax-node', path: this.path(object), device }
  }

  path(object: ObjectId): string {
    return this.#nodes.path(object)
  }

  owner(object: ObjectId): Owner | Errno | undefined {
    const device = this.#device(object)
    return device === undefined ? undefined : this.#nodes.owner(object, device)
  }

  own(object: ObjectId, owner: Owner): Errno | undefined {
    const device = this.#device(object)
    const node = device === undefined ? undefined : this.#nodes.owner(object, device)
    if (node instanceof Errno) return node
    if (device === undefined || node === undefined) return undefined
    return this.#nodes.make(object, device, owner)
  }

  unpublish(object: ObjectId): Errno | undefined {
    return this.#nodes.remove(object)
  }

  #device(object: ObjectId): DeviceNumber | undefined {
    return this.#states.get(object)?.devices[0]?.number
  }

  /** A process that the last search found to map it. */
  holder(object: ObjectId): Holder | undefined {
    return this.#states.get(object)?.heldBy
  }

  /**
   * Refusals: EINVAL, EBUSY (a process still maps blocks of it by an older device), ENOMEM, EIO, ENOSPC (no
   * room for its node); a Wait.
   */
  publish(object: ObjectId, { extents, guestRam, gigantic }: Placement, owner: Owner): Refusal | undefined {
    if (!guestRam || extents.length === 0) return EINVAL
    const state = this.#stateOf(object)
    if (state.isBusy) return WAIT_FOR_STORE
    const { failed } = state
    state.failed = undefined
    if (failed) return failed
    const ranges = rangesOf(this.#layout, extents)
    const [device] = state.devices
    if (device !== undefined && state.devices.length === 1 && sameRanges(device.ranges, ranges)) {
      const node = this.#nodes.owner(object, device.number)
      if (node instanceof Errno) return node
      return node === undefined ? this.#nodes.make(object, device.number, owner) : undefined
    }
    if (device !== undefined) return this.isHeld(object) instanceof Wait ? WAIT_FOR_STORE : EBUSY
    const refused = this.#chunks.surrender(extents)
    if (refused) return refused
    const done = (result: Result): void => {
      if (result.kind === 'made') state.devices = [{ number: result.number, ranges }]
      if (result.kind === 'failed') state.failed = errnoFromCode(result.errnoCode)
    }
    this.#begin(state, 'make', ranges, done, gigantic)
    return WAIT_FOR_STORE
  }

  /**
   * The first call removes the node: from then on no process can open it. A Wait until the worker has
   * searched. False: it found no holder, and has destroyed the device. True: a process holds it, or may open
   * it by a node that cannot be removed; called again after LOOK_AGAIN_MS, it searches again.
   */
  isHeld(object: ObjectId): boolean | Wait {
    const state = this.#states.get(object)
    if (state === undefined) return false
    if (state.isBusy) return WAIT_FOR_STORE
    if (state.devices.length === 0) return false
    if (this.#nodes.remove(object) !== undefined) return true
    if (performance.now() < state.lookAgainAtMs) return true
    this.#free(state)
    return WAIT_FOR_STORE
  }

  /**
   * No inode owns it any more. A device that a process holds all the same stays, and a later file on its
   * blocks gets EBUSY. So does one whose node cannot be removed.
   */
  release(object: ObjectId): void {
    const state = this.#states.get(object)
    if (this.#nodes.remove(object) !== undefined) return
    if (state === undefined) return
    this.#states.delete(object)
    state.isReleased = true
    if (state.devices.length > 0 && !state.isBusy) this.#free(state)
  }

  #free(state: NodeState): void {
    const ranges = state.devices.flatMap((device) => device.ranges)
    this.#begin(state, 'free', ranges, (result) => {
      state.heldBy = result.kind === 'held' ? result.by : undefined
      if (result.kind === 'done') state.devices = []
      else state.lookAgainAtMs = performance.now() + LOOK_AGAIN_MS
    })
  }

  #begin(
    state: NodeState,
    kind: 'make' | 'free',
    ranges: Ranges,
    done: (result: Result) => void,
    gigantic = false,
  ): void {
    state.isBusy = true
    const ended = (result: Result): void => {
      state.isBusy = false
      done(result)
      // Its file was released while its device was made.
      if (state.isReleased && kind === 'make' && state.devices.length > 0) this.#free(state)
    }
    this.#worker.send(kind, ranges, ended, { gigantic })
  }

  #stateOf(object: ObjectId): NodeState {
    let state = this.#states.get(object)
    if (state === undefined) {
      state = {
        devices: [],
        isBusy: false,
        failed: undefined,
        heldBy: undefined,
        lookAgainAtMs: 0,
        isReleased: false,
      }
      this.#states.set(object, state)
    }
    return state
  }
}
