/**
 * Owns the words after `-o`: ours (`size=`), the kernel's flags, and those that mount(8) and fstab keep for
 * themselves. A word nobody knows is refused, not ignored: it may be a misspelt size.
 */
import { MOUNT_FLAGS } from '../linux/mount.ts'
import { UsageError } from '../values/errors.ts'
import { parseSize } from '../values/size.ts'

export interface MountOptions {
  /** Undefined: memfds, unless the pool exists already. */
  readonly store: StoreKind | undefined
  /** Which carve-out, as /sys/bus/dax/devices names its device: `dax0.0`. Undefined: the only one there is. */
  readonly region: string | undefined
  readonly sizeBytes: number | undefined
  /** A new pool even where the former kernel handed one over by this name, or may have. */
  readonly isNew: boolean
  readonly mountFlags: number
}

const STORE_KINDS = ['memfd', 'dax'] as const
export type StoreKind = (typeof STORE_KINDS)[number]

/** Meant for mount(8), systemd or fsck, or the opposite of a flag that is off anyway. */
const NOT_FOR_US =
  /^(defaults|auto|noauto|nofail|_netdev|users?|nousers?|owner|group|rw|suid|dev|exec|async|x-.*|comment=.*)$/

/** Errors: UsageError, one line that names the word. */
export const parseMountOptions = (words: readonly string[]): MountOptions => {
  let sizeBytes: number | undefined
  let store: StoreKind | undefined
  let region: string | undefined
  let isNew = false
  let mountFlags = 0
  for (const word of words.flatMap((list) => list.split(',')).filter((word) => word !== '')) {
    if (word.startsWith('size=')) {
      sizeBytes = parseSize(word.slice('size='.length), 'size')
    } else if (word.startsWith('store=')) {
      store = parseStore(word.slice('store='.length))
    } else if (word.startsWith('region=')) {
      region = word.slice('region='.length)
    } else if (word === 'new') {
      isNew = true
    } else if (word in MOUNT_FLAGS) {
      mountFlags |= MOUNT_FLAGS[word as keyof typeof MOUNT_FLAGS]
    } else if (!NOT_FOR_US.test(word)) {
      throw new UsageError(
        `unknown mount option '${word}': known are size=SIZE, store=memfd|dax, region=NAME, new, ${Object.keys(MOUNT_FLAGS).join(', ')}`,
      )
    }
  }
  if (sizeBytes !== undefined && store === 'dax') {
    throw new UsageError('size= is not for store=dax: the pool is as large as its region')
  }
  if (region !== undefined && store !== 'dax')
    throw new UsageError('region= is only for store=dax: write both')
  if (isNew && store === 'dax')
    throw new UsageError("new is not for store=dax: 'guestmemfs format' makes a new pool of a region")
  return { store, region, sizeBytes, isNew, mountFlags }
}

const parseStore = (text: string): StoreKind => {
  const store = STORE_KINDS.find((kind) => kind === text)
  if (store === undefined)
    throw new UsageError(`store '${text}' is not known: take ${STORE_KINDS.join(' or ')}`)
  return store
}
