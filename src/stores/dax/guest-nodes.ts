/** Owns the nodes of one pool, `/dev/guestmemfs/POOL/MEMORY`: which there are, whose they are, and to what device they lead. */
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  type DeviceNumber,
  makeDeviceNode,
  type NodeOwner,
  readDeviceNode,
  removeNode,
} from '../../linux/device-node.ts'
import type { MemoryId } from '../../values/ids.ts'
import { mustWork } from '../carve-out/must.ts'

/** Tests bring nodes that need no root. */
export type Nodes = Pick<GuestNodes, 'path' | 'owner' | 'make' | 'remove' | 'takeStock'>

export class GuestNodes {
  readonly #folder: string

  constructor(nodeRoot: string, pool: string) {
    this.#folder = join(nodeRoot, pool)
    mkdirSync(this.#folder, { recursive: true, mode: 0o755 })
  }

  path(memory: MemoryId): string {
    return join(this.#folder, String(memory))
  }

  /** The owner of the node that leads to `device`; undefined: there is none, or it leads elsewhere. */
  owner(memory: MemoryId, device: DeviceNumber): NodeOwner | undefined {
    const node = readDeviceNode(this.path(memory))
    return node?.device === device ? node : undefined
  }

  make(memory: MemoryId, device: DeviceNumber, owner: NodeOwner): void {
    const path = this.path(memory)
    mustWork(`mknod ${path}`, makeDeviceNode(path, device, owner))
  }

  remove(memory: MemoryId): void {
    removeNode(this.path(memory))
  }

  /**
   * Nodes that a former server made, and their devices. Nodes that lead to none of `devices` go: their number may be
   * given to another device next.
   */
  takeStock(devices: ReadonlySet<DeviceNumber>): Map<MemoryId, DeviceNumber> {
    const found = new Map<MemoryId, DeviceNumber>()
    for (const name of readdirSync(this.#folder)) {
      const device = readDeviceNode(join(this.#folder, name))?.device
      if (/^[1-9]\d*$/.test(name) && device !== undefined && devices.has(device))
        found.set(Number(name) as MemoryId, device)
      else removeNode(join(this.#folder, name))
    }
    return found
  }
}
