/**
 * The invariants of a state at rest: what must hold after every operation and after every recovery. It only
 * reads, uses no index, and returns everything it finds: fsck prints it, tests expect nothing.
 */
import { BLOCK_BYTES, type Extent } from '../../stores/store.ts'
import { type ByteString, type Ino, type ObjectId, printable, ROOT_INO } from '../../values/ids.ts'
import { PERMISSION_BITS } from '../../values/uapi.ts'
import { decodeProperty, type Property } from '../image/property.ts'
import type { BlockStates } from '../space/block-states.ts'
import type { Directory } from './directory.ts'
import { type FileKind, type Inode, isSpecial } from './inode.ts'
import { GENERATIONS, NAME_MAX, XATTR_SIZE_MAX } from './limits.ts'
import { totalBlocksOf } from './pool-size.ts'

/** The tables of a `State`. */
export interface Tables {
  readonly inodes: ReadonlyMap<Ino, Inode>
  readonly directories: ReadonlyMap<Ino, Directory>
  readonly xattrs: ReadonlyMap<Ino, ReadonlyMap<ByteString, Uint8Array>>
  readonly properties: ReadonlyMap<Ino, ReadonlyMap<number, Uint8Array>>
  readonly blockStates: BlockStates
  readonly pool: { readonly nextGeneration: number; readonly nextCookie: number }
}

/** `totalBlocks`: what the pool was made with. */
export function verifyTables(tables: Tables, totalBlocks: number, chunkBlocks?: number): string[] {
  return [
    ...verifyNames(tables),
    ...verifyReach(tables),
    ...[...tables.inodes.values()].flatMap(verifyInode),
    ...verifyGenerations(tables),
    ...verifyObjects(tables),
    ...verifyBlocks(tables, totalBlocksOf(tables.properties, totalBlocks)),
    ...(chunkBlocks === undefined ? [] : verifyZones(tables, chunkBlocks)),
    ...verifyXattrs(tables),
    ...verifyProperties(tables),
  ]
}

/** Names point to inodes, and inodes count their names. */
function verifyNames({ inodes, directories, pool }: Tables): string[] {
  const found: string[] = []
  const names = new Map<Ino, number>()
  const subdirectories = new Map<Ino, number>()
  for (const [parent, directory] of directories) {
    const holder = inodes.get(parent)
    if (holder?.kind !== 'directory') found.push(`names in inode ${parent}, which is no directory`)
    else if (holder.links === 0) found.push(`names in directory ${parent}, which was removed`)
    const cookies = new Set<number>()
    for (const entry of directory.values()) {
      const at = `name ${JSON.stringify(printable(entry.name))} in inode ${parent}`
      const inode = inodes.get(entry.ino)
      if (!inode) found.push(`${at} points to inode ${entry.ino}, which does not exist`)
      if (entry.parent !== parent) found.push(`${at} says its parent is ${entry.parent}`)
      if (entry.name === '' || entry.name.length > NAME_MAX)
        found.push(`${at} has a length of ${entry.name.length}`)
      if (entry.cookie < 3 || entry.cookie >= pool.nextCookie)
        found.push(`${at} has the impossible cookie ${entry.cookie}`)
      if (cookies.has(entry.cookie)) found.push(`${at} shares the cookie ${entry.cookie}`)
      cookies.add(entry.cookie)
      names.set(entry.ino, (names.get(entry.ino) ?? 0) + 1)
      if (inode?.kind === 'directory') subdirectories.set(parent, (subdirectories.get(parent) ?? 0) + 1)
    }
  }
  for (const inode of inodes.values()) {
    const count = names.get(inode.ino) ?? 0
    const isRoot = inode.ino === ROOT_INO
    if (inode.kind === 'directory' && count > (isRoot ? 0 : 1))
      found.push(`directory ${inode.ino} has ${count} names`)
    const alive = inode.kind === 'directory' && (isRoot || count > 0)
    const links = inode.kind !== 'directory' ? count : alive ? 2 + (subdirectories.get(inode.ino) ?? 0) : 0
    if (inode.links !== links) found.push(`inode ${inode.ino} says ${inode.links} links, there are ${links}`)
  }
  return found
}

/** Every named inode can be reached from the root: there is no cycle of directories beside the tree. */
function verifyReach({ inodes, directories }: Tables): string[] {
  if (inodes.get(ROOT_INO)?.kind !== 'directory') return ['there is no root directory']
  const reached = new Set<Ino>([ROOT_INO])
  // The iteration of a Set includes what is added meanwhile.
  for (const ino of reached) for (const entry of directories.get(ino)?.values() ?? []) reached.add(entry.ino)
  return [...inodes.values()]
    .filter((inode) => inode.links > 0 && !reached.has(inode.ino))
    .map((inode) => `inode ${inode.ino} cannot be reached from the root`)
}

function verifyInode(inode: Inode): string[] {
  const found: string[] = []
  const check = (holds: boolean, what: string) => {
    if (!holds) found.push(`${inode.kind} ${inode.ino} ${what}`)
  }
  const isFile = inode.kind === 'file'
  const blocks = inode.extents.reduce((sum, extent) => sum + extent.count, 0)
  const needed = isFile ? Math.ceil(inode.sizeBytes / BLOCK_BYTES) : 0
  check(Number.isSafeInteger(inode.sizeBytes) && inode.sizeBytes >= 0, `has size ${inode.sizeBytes}`)
  check(blocks === needed, `owns ${blocks} blocks where ${inode.sizeBytes} bytes need ${needed}`)
  check((inode.object !== undefined) === isFile, isFile ? 'has no memory object' : 'has a memory object')
  check(!inode.guestRam || (isFile && inode.sizeBytes > 0), 'is guest RAM without a size')
  check(inode.kind === 'symlink' || inode.target === '', 'has a target')
  check(
    inode.kind !== 'symlink' || inode.target.length === inode.sizeBytes,
    `is ${inode.sizeBytes} long, its target is not`,
  )
  check(inode.kind !== 'directory' || inode.sizeBytes === 0, `has size ${inode.sizeBytes}`)
  check(!isSpecial(inode.kind) || inode.sizeBytes === 0, `has size ${inode.sizeBytes}`)
  check(inode.kind.endsWith('-device') || inode.rdev === 0, `has device number ${inode.rdev}`)
  check((inode.mode & ~PERMISSION_BITS) === 0, `has mode ${inode.mode.toString(8)}`)
  return found
}

function verifyGenerations({ inodes, pool }: Tables): string[] {
  // Generations have 32 bits in the protocol: once the counter has wrapped, any of them may be in use.
  if (pool.nextGeneration >= GENERATIONS) return []
  return [...inodes.values()]
    .filter((inode) => inode.generation >= pool.nextGeneration)
    .map(
      (inode) =>
        `inode ${inode.ino} has generation ${inode.generation}, the next one is ${pool.nextGeneration}`,
    )
}

function verifyObjects({ inodes }: Tables): string[] {
  const owners = new Map<ObjectId, Ino>()
  const found: string[] = []
  for (const { ino, object } of inodes.values()) {
    if (object === undefined) continue
    const other = owners.get(object)
    if (other !== undefined)
      found.push(`memory object ${object} belongs to inode ${other} and to inode ${ino}`)
    owners.set(object, ino)
  }
  return found
}

/** No block has two owners, lies outside the pool, or is owned while it holds another file's bytes. */
function verifyBlocks({ inodes, blockStates }: Tables, totalBlocks: number): string[] {
  const found: string[] = []
  const owned: (Extent & { readonly ino: Ino })[] = []
  const outside = (extent: Extent) =>
    extent.start < 0 || extent.count < 1 || extent.start + extent.count > totalBlocks
  for (const { ino, extents } of inodes.values())
    for (const { start, count } of extents) {
      if (outside({ start, count }))
        found.push(`inode ${ino} owns blocks ${start}+${count} of a pool of ${totalBlocks}`)
      if (blockStates.without({ start, count }, 'dirty').reduce((sum, part) => sum + part.count, 0) !== count)
        found.push(`inode ${ino} owns dirty blocks in ${start}+${count}`)
      owned.push({ start, count, ino })
    }
  owned.sort((a, b) => a.start - b.start)
  let end = 0
  let last: Ino | undefined
  for (const { start, count, ino } of owned) {
    if (start < end) found.push(`block ${start} belongs to inode ${last} and to inode ${ino}`)
    if (start + count > end) last = ino
    end = Math.max(end, start + count)
  }
  for (let run = blockStates.runBeyond(-1); run; run = blockStates.runBeyond(run.start + run.count))
    if (outside(run)) found.push(`${run.state} blocks ${run.start}+${run.count} in a pool of ${totalBlocks}`)
  return found
}

/** No chunk of `chunkBlocks` blocks holds guest RAM and ordinary files. */
function verifyZones({ inodes }: Tables, chunkBlocks: number): string[] {
  const found = new Set<string>()
  const owners = new Map<number, Inode>()
  for (const inode of inodes.values())
    for (const { start, count } of inode.extents)
      for (let chunk = Math.floor(start / chunkBlocks); chunk * chunkBlocks < start + count; chunk++) {
        const other = owners.get(chunk) ?? inode
        owners.set(chunk, other)
        if (other.guestRam !== inode.guestRam)
          found.add(`inodes ${other.ino} and ${inode.ino}, guest RAM and not, share chunk ${chunk}`)
      }
  return [...found]
}

function verifyXattrs({ inodes, xattrs }: Tables): string[] {
  const found: string[] = []
  for (const [ino, values] of xattrs) {
    if (!inodes.has(ino)) found.push(`xattrs of inode ${ino}, which does not exist`)
    for (const [name, value] of values)
      if (name.length > NAME_MAX || value.length > XATTR_SIZE_MAX)
        found.push(`xattr ${JSON.stringify(printable(name))} of inode ${ino} is too long`)
  }
  return found
}

/** Which kind of inode has a property. */
const OWNER_KIND: Readonly<Record<Property['is'], FileKind>> = {
  poisoned: 'file',
  mark: 'file',
  nodes: 'directory',
  size: 'directory',
}

function verifyProperties({ inodes, properties }: Tables): string[] {
  const found: string[] = []
  for (const [ino, values] of properties) {
    const kind = inodes.get(ino)?.kind
    if (kind === undefined) found.push(`properties of inode ${ino}, which does not exist`)
    for (const [number, value] of values) {
      const property = decodeProperty(number, value)
      if (kind !== undefined && property !== undefined && OWNER_KIND[property.is] !== kind)
        found.push(`property ${number} (${property.is}) of inode ${ino}, which is a ${kind}`)
      else if (property?.is === 'size' && ino !== ROOT_INO)
        found.push(`inode ${ino} has the size of the pool, and is not the root`)
    }
  }
  return found
}
