/**
 * The guests that are saved in a pool, by its image alone: their records, the inodes of their RAM and of
 * their states. Must not: reach a mount, which is not there yet.
 */
import { type Inode, objectOf } from '../fs/state/inode.ts'
import type { State } from '../fs/state/state.ts'
import { isInside } from '../qemu/memory-backends.ts'
import type { SavedState } from '../qemu/saved-state.ts'
import { parseDefinition, ramFileOf, type VmDefinition } from '../qemu/vm-definition.ts'
import { byteString, type Ino, type ObjectId, ROOT_INO } from '../values/ids.ts'
import { MIB } from '../values/units.ts'
import { VM_XATTR } from '../values/xattr-names.ts'

export interface SavedGuest {
  readonly definition: VmDefinition
  readonly saved: SavedState
  /** Of its one RAM file. */
  readonly ram: Inode
  readonly object: ObjectId
  readonly stateFile: Inode
}

const VM = byteString(VM_XATTR)
/** A larger one holds RAM, and is read best from the mount. */
const MOST_STATE_BYTES = 64 * MIB

/**
 * Those whose QEMU needs nothing of the mount: all RAM in one file of this pool, no memory that is shared
 * with others, no command before QEMU, no other file beneath the mount point. None of another VMM.
 * `mountPoint`: where the pool will be mounted. By `order`.
 */
export function savedGuests(state: State, mountPoint: string): SavedGuest[] {
  const found = recorded(state).flatMap(([ino, definition]) =>
    isSimple(definition, mountPoint) ? guestOf(state, ino, definition) : [],
  )
  return found.toSorted((one, other) => one.definition.order - other.definition.order)
}

/** All that are saved in the pool, however many of them need the mount. */
export const countSaved = (state: State): number =>
  recorded(state).filter(([, { saved }]) => saved !== null).length

function recorded(state: State): [Ino, VmDefinition][] {
  return [...state.xattrs].flatMap(([ino, xattrs]): [Ino, VmDefinition][] => {
    const record = xattrs.get(VM)
    const definition = record && definitionOf(record)
    return definition === undefined ? [] : [[ino, definition]]
  })
}

function guestOf(state: State, ino: Ino, definition: VmDefinition): SavedGuest[] {
  const { saved, mountPoint } = definition
  if (saved === null) return []
  const ram = lookUp(state, mountPoint, ramFileOf(definition))
  const file = lookUp(state, mountPoint, saved.path)
  if (ram?.ino !== ino || !ram.guestRam || file?.kind !== 'file' || file.guestRam) return []
  const isWhole = file.sizeBytes === saved.sizeBytes && saved.sizeBytes <= MOST_STATE_BYTES
  return isWhole ? [{ definition, saved, ram, object: objectOf(ram), stateFile: file }] : []
}

/** undefined: a record of another version's kind. The resumption names it. */
function definitionOf(record: Uint8Array): VmDefinition | undefined {
  try {
    return parseDefinition(record)
  } catch {
    return undefined
  }
}

const isSimple = (definition: VmDefinition, mountPoint: string): boolean =>
  definition.vmm === undefined &&
  definition.mountPoint === mountPoint &&
  definition.ramFiles.length === 1 &&
  definition.ramFiles.every(({ path, isShared = false }) => !isShared && isInside(path, mountPoint)) &&
  (definition.windows ?? []).length === 0 &&
  (definition.before ?? []).length === 0 &&
  !namesMount(definition)

/** QEMU would open, or make, what lies below the mount. */
function namesMount({ argv, environment, cwd, mountPoint, ramFiles }: VmDefinition): boolean {
  const words = [...argv, ...Object.values(environment)]
  const others = ramFiles.reduce((left, { path }) => left.map((word) => word.replaceAll(path, '')), words)
  return others.some((word) => word.includes(mountPoint)) || cwd === mountPoint || isInside(cwd, mountPoint)
}

/** No symlink of the pool is followed, as QEMU's path has none beneath the mount. */
function lookUp(state: State, mountPoint: string, path: string): Inode | undefined {
  if (!isInside(path, mountPoint)) return undefined
  let ino: Ino | undefined = ROOT_INO
  for (const name of path.slice(mountPoint.length).split('/').filter(Boolean))
    ino = ino && state.directories.get(ino)?.get(byteString(name))?.ino
  return ino === undefined ? undefined : state.inodes.get(ino)
}
