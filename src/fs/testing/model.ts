/**
 * A reference file system for tests: plain objects and the obvious way to do each thing, slow and without a
 * log, blocks as mere numbers. It says what each operation must answer, as an errno name or `ok`, and what
 * the tree must then be. Written from the manual pages, not from the code it is compared with.
 */
import { BLOCK_BYTES } from '../../stores/store.ts'

export interface ModelNode {
  readonly kind: 'directory' | 'file' | 'symlink'
  names: number
  mode: number
  readonly children: Map<string, ModelNode>
  content: Uint8Array
  /** Files of many blocks are not modelled byte by byte: guest RAM cannot be read anyway. */
  sizeBytes: number
  guestRam: boolean
  readonly xattrs: Map<string, string>
  readonly target: string
}

/** Where a node can be found: a directory and a name in it. */
export interface ModelPlace {
  readonly directory: ModelNode
  readonly name: string
}

export const newNode = (kind: ModelNode['kind'], mode: number, target = ''): ModelNode => ({
  kind,
  names: 1,
  mode,
  children: new Map(),
  content: new Uint8Array(0),
  sizeBytes: kind === 'symlink' ? target.length : 0,
  guestRam: false,
  xattrs: new Map(),
  target,
})

export class Model {
  readonly root = newNode('directory', 0o755)
  /** Unlinked, not yet evicted. */
  readonly orphans = new Set<ModelNode>()
  readonly #freeBlocks: (guestRam: boolean) => number

  /** `freeBlocks`: how many more blocks a file of either kind can have. It is asked before each growth. */
  constructor(freeBlocks: (guestRam: boolean, usedBlocks: number) => number) {
    this.#freeBlocks = (guestRam) => freeBlocks(guestRam, this.usedBlocks())
  }

  usedBlocks(): number {
    let used = 0
    for (const node of [...this.all(), ...this.orphans])
      if (node.kind === 'file') used += Math.ceil(node.sizeBytes / BLOCK_BYTES)
    return used
  }

  /** Every node with a name, once. */
  all(): Set<ModelNode> {
    const found = new Set([this.root])
    for (const node of found) for (const child of node.children.values()) found.add(child)
    return found
  }

  make({ directory, name }: ModelPlace, node: ModelNode): string {
    if (directory.kind !== 'directory') return 'ENOTDIR'
    if (directory.children.has(name)) return 'EEXIST'
    directory.children.set(name, node)
    if (node.kind === 'directory') node.mode |= directory.mode & 0o2000
    return 'ok'
  }

  link(node: ModelNode, place: ModelPlace): string {
    if (place.directory.kind !== 'directory') return 'ENOTDIR'
    if (place.directory.children.has(place.name)) return 'EEXIST'
    if (node.kind === 'directory') return 'EPERM'
    place.directory.children.set(place.name, node)
    node.names++
    return 'ok'
  }

  remove({ directory, name }: ModelPlace, wantsDirectory: boolean): string {
    if (directory.kind !== 'directory') return 'ENOTDIR'
    const node = directory.children.get(name)
    if (!node) return 'ENOENT'
    if (wantsDirectory && node.kind !== 'directory') return 'ENOTDIR'
    if (!wantsDirectory && node.kind === 'directory') return 'EISDIR'
    if (node.children.size > 0) return 'ENOTEMPTY'
    directory.children.delete(name)
    this.#lostName(node)
    return 'ok'
  }

  rename(from: ModelPlace, to: ModelPlace, mode: 'plain' | 'noreplace' | 'exchange'): string {
    if (from.directory.kind !== 'directory' || to.directory.kind !== 'directory') return 'ENOTDIR'
    const node = from.directory.children.get(from.name)
    const target = to.directory.children.get(to.name)
    if (!node) return 'ENOENT'
    if (within(to.directory, node)) return 'EINVAL'
    if (mode === 'exchange') {
      if (!target) return 'ENOENT'
      if (node !== target && within(from.directory, target)) return 'EINVAL'
      from.directory.children.set(from.name, target)
      to.directory.children.set(to.name, node)
      return 'ok'
    }
    if (target && mode === 'noreplace') return 'EEXIST'
    if (node === target) return 'ok'
    if (target && node.kind === 'directory' && target.kind !== 'directory') return 'ENOTDIR'
    if (target && node.kind !== 'directory' && target.kind === 'directory') return 'EISDIR'
    if (target && target.children.size > 0) return 'ENOTEMPTY'
    from.directory.children.delete(from.name)
    to.directory.children.set(to.name, node)
    if (target) this.#lostName(target)
    return 'ok'
  }

  truncate(node: ModelNode, sizeBytes: number): string {
    if (node.kind !== 'file') return node.kind === 'directory' ? 'EISDIR' : 'EINVAL'
    const more = Math.ceil(sizeBytes / BLOCK_BYTES) - Math.ceil(node.sizeBytes / BLOCK_BYTES)
    const becomesRam = node.sizeBytes === 0 && sizeBytes >= BLOCK_BYTES
    const guestRam = sizeBytes > 0 && (node.guestRam || becomesRam)
    if (more > 0 && more > this.#freeBlocks(guestRam)) return 'ENOSPC'
    node.guestRam = guestRam
    this.#resize(node, sizeBytes)
    return 'ok'
  }

  write(node: ModelNode, offset: number, bytes: Uint8Array): string {
    if (node.kind !== 'file') return node.kind === 'directory' ? 'EISDIR' : 'EINVAL'
    if (node.guestRam) return 'EOPNOTSUPP'
    const end = offset + bytes.length
    const more = Math.ceil(end / BLOCK_BYTES) - Math.ceil(node.sizeBytes / BLOCK_BYTES)
    if (more > 0 && more > this.#freeBlocks(false)) return 'ENOSPC'
    if (end > node.sizeBytes) this.#resize(node, end)
    node.content.set(bytes, offset)
    return 'ok'
  }

  punch(node: ModelNode, offset: number, length: number): string {
    if (node.kind !== 'file') return node.kind === 'directory' ? 'EISDIR' : 'EINVAL'
    if (!node.guestRam) node.content.fill(0, offset, offset + length)
    return 'ok'
  }

  #resize(node: ModelNode, sizeBytes: number): void {
    const content = new Uint8Array(node.guestRam ? 0 : sizeBytes)
    content.set(node.content.subarray(0, content.length))
    node.content = content
    node.sizeBytes = sizeBytes
  }

  #lostName(node: ModelNode): void {
    node.names--
    if (node.names === 0) this.orphans.add(node)
  }
}

/** True when `node` is `ancestor` or lies below it. */
function within(node: ModelNode, ancestor: ModelNode): boolean {
  if (node === ancestor) return true
  return [...ancestor.children.values()].some((child) => within(node, child))
}
