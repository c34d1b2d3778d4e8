/** The nodes of one pool, `/dev/guestmemfs/POOL/OBJECT`, with their owners and devices. */
import { chmodSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  type DeviceNumber,
  makeDeviceNode,
  type NodeOwner,
  readDeviceNode,
  removeNode,
} from '../../linux/device-node.ts'
import { Errno } from '../../values/errno.ts'
import { SystemCallError } from '../../values/errors.ts'
import type { ObjectId } from '../../values/ids.ts'

/** Tests pass nodes that need no root. */
export type Nodes = Pick<GuestNodes, 'path' | 'owner' | 'make' | 'remove' | 'readNodes'>

export class GuestNodes {
  readonly #folder: string

  constructor(nodeRoot: string, pool: string) {
    this.#folder = join(nodeRoot, pool)
    mkdirSync(this.#folder, { recursive: true })
    // Whatever the umask: a QEMU of any user can open a node whose mode lets it, and a user who cannot read
    // the mount cannot list the nodes.
    chmodSync(nodeRoot, 0o755)
    chmodSync(this.#folder, 0o711)
  }

  path(object: ObjectId): string {
    return join(this.#folder, String(object))
  }

  /**
   * The owner of the node of `device`; undefined: there is no node, or it is of another device. Errors: those
   * of lstat(2).
   */
  owner(object: ObjectId, device: DeviceNumber): NodeOwner | Errno | undefined {
    const node = readDeviceNode(this.path(object))
    return node instanceof Errno || node?.device === device ? node : undefined
  }

  /** Errors: those of mknod(2), as ENOSPC of a full devtmpfs; then what was there is there. */
  make(object: ObjectId, device: DeviceNumber, owner: NodeOwner): Errno | undefined {
    return makeDeviceNode(this.path(object), device, owner)
  }

  /** No error where it is gone already. Errors: those of unlink(2); then it is there. */
  remove(object: ObjectId): Errno | undefined {
    return removeNode(this.path(object))
  }

  /**
   * Nodes that a former server made, and their devices. Removes nodes of none of `devices`, because the
   * kernel may give their device numbers to other devices.
   */
  readNodes(devices: ReadonlySet<DeviceNumber>): Map<ObjectId, DeviceNumber> {
    const found = new Map<ObjectId, DeviceNumber>()
    for (const name of readdirSync(this.#folder)) {
      const path = join(this.#folder, name)
      const node = readDeviceNode(path)
      if (node instanceof Errno) throw new SystemCallError(`lstat ${path}`, node)
      if (/^[1-9]\d*$/.test(name) && node !== undefined && devices.has(node.device)) {
        found.set(Number(name) as ObjectId, node.device)
        continue
      }
      const failed = removeNode(path)
      if (failed) throw new SystemCallError(`unlink ${path}`, failed)
    }
    return found
  }
}
