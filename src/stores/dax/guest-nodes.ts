/** The nodes of one pool, `/dev/guestmemfs/POOL/OBJECT`: which there are, their owners, and their devices. */
import { chmodSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  type DeviceNumber,
  makeDeviceNode,
  type NodeOwner,
  readDeviceNode,
  removeNode,
} from '../../linux/device-node.ts'
import { must } from '../../linux/library.ts'
import type { ObjectId } from '../../values/ids.ts'

/** A QEMU of any user goes this way; what it may open there the node's own mode says. */
const EVERYONE_MAY_LOOK = 0o755

/** Tests bring nodes that need no root. */
export type Nodes = Pick<GuestNodes, 'path' | 'owner' | 'make' | 'remove' | 'takeStock'>

export class GuestNodes {
  readonly #folder: string

  constructor(nodeRoot: string, pool: string) {
    this.#folder = join(nodeRoot, pool)
    for (const folder of [nodeRoot, this.#folder]) {
      mkdirSync(folder, { recursive: true, mode: EVERYONE_MAY_LOOK })
      // A umask may have taken rights from it: now, or when a former version made it.
      chmodSync(folder, EVERYONE_MAY_LOOK)
    }
  }

  path(object: ObjectId): string {
    return join(this.#folder, String(object))
  }

  /** The owner of the node that leads to `device`; undefined: there is none, or it leads elsewhere. */
  owner(object: ObjectId, device: DeviceNumber): NodeOwner | undefined {
    const node = readDeviceNode(this.path(object))
    return node?.device === device ? node : undefined
  }

  make(object: ObjectId, device: DeviceNumber, owner: NodeOwner): void {
    const path = this.path(object)
    must(makeDeviceNode(path, device, owner), `mknod ${path}`)
  }

  remove(object: ObjectId): void {
    removeNode(this.path(object))
  }

  /**
   * Nodes that a former server made, and their devices. Nodes that lead to none of `devices` go: their number
   * may be given to another device next.
   */
  takeStock(devices: ReadonlySet<DeviceNumber>): Map<ObjectId, DeviceNumber> {
    const found = new Map<ObjectId, DeviceNumber>()
    for (const name of readdirSync(this.#folder)) {
      const device = readDeviceNode(join(this.#folder, name))?.device
      if (/^[1-9]\d*$/.test(name) && device !== undefined && devices.has(device))
        found.set(Number(name) as ObjectId, device)
      else removeNode(join(this.#folder, name))
    }
    return found
  }
}
