/**
 * The words after `-o`: ours (`size=`), the kernel's flags, and those that mount(8) and fstab keep for
 * themselves. An unknown word is refused, not ignored: it may be a misspelt size.
 */
import { MOUNT_FLAGS } from '../linux/mount.ts'
import type { StoreDriver } from '../stores/driver.ts'
import { STORES } from '../stores/registry.ts'
import { UsageError } from '../values/errors.ts'
import { parseSize } from '../values/size.ts'
import { STORE_KINDS, type StoreKind } from '../values/store-kinds.ts'
import { PMD_BYTES, PUD_BYTES } from '../values/units.ts'

export interface MountOptions {
  /** Undefined: memfds, unless the pool exists already. */
  readonly store: StoreKind | undefined
  /**
   * Which carve-out: as /sys/bus/dax/devices names its device (`dax0.0`), or its first byte. Undefined: the
   * only one there is.
   */
  readonly region: string | undefined
  readonly sizeBytes: number | undefined
  /** A new pool even where the former kernel handed one over by this name, or may have. */
  readonly isNew: boolean
  /** Most files that one live update session takes. */
  readonly sessionFiles: number
  /**
   * What pages guest RAM is to have, unless its directory says otherwise. Undefined: as was said before, else
   * 2 MiB.
   */
  readonly alignBytes: number | undefined
  readonly mountFlags: number
}

/** Linux 6.19 takes some 128 files in a session; of 7.3 each further one looks through all before it. */
export const SESSION_FILES = 120

/** Meant for mount(8), systemd or fsck, or the opposite of a flag that is off anyway. */
const NOT_FOR_US =
  /^(defaults|auto|noauto|nofail|_netdev|users?|nousers?|owner|group|rw|suid|dev|exec|async|x-.*|comment=.*)$/

/** Errors: UsageError, one line that names the word. */
export function parseMountOptions(words: readonly string[]): MountOptions {
  let sizeBytes: number | undefined
  let store: StoreKind | undefined
  let region: string | undefined
  let isNew = false
  let sessionFiles = SESSION_FILES
  let alignBytes: number | undefined
  let mountFlags = 0
  for (const word of words.flatMap((list) => list.split(',')).filter((word) => word !== '')) {
    if (word.startsWith('size=')) {
      sizeBytes = parseSize(word.slice('size='.length), 'size')
    } else if (word.startsWith('store=')) {
      store = parseStore(word.slice('store='.length))
    } else if (word.startsWith('align=')) {
      alignBytes = parseAlign(word.slice('align='.length))
    } else if (word.startsWith('region=')) {
      region = word.slice('region='.length)
    } else if (word.startsWith('session-files=')) {
      sessionFiles = parseSessionFiles(word.slice('session-files='.length))
    } else if (word === 'new') {
      isNew = true
    } else if (word in MOUNT_FLAGS) {
      mountFlags |= MOUNT_FLAGS[word as keyof typeof MOUNT_FLAGS]
    } else if (!NOT_FOR_US.test(word)) {
      throw new UsageError(
        `unknown mount option '${word}': known are size=SIZE, store=${STORE_KINDS.join('|')}, region=NAME, align=2M|1G, new, session-files=N, ${Object.keys(MOUNT_FLAGS).join(', ')}`,
      )
    }
  }
  checkStoreOptions(store, { sizeBytes, region, isNew, alignBytes })
  return { store, region, sizeBytes, alignBytes, isNew, sessionFiles, mountFlags }
}

/** What a store cannot be told. Errors: UsageError. */
function checkStoreOptions(
  store: StoreKind | undefined,
  options: Pick<MountOptions, 'sizeBytes' | 'region' | 'isNew' | 'alignBytes'>,
): void {
  const { sizeBytes, region, isNew, alignBytes } = options
  const { find, largestPageBytes } = STORES[store ?? 'memfd']
  const isRegion = find !== undefined
  if (sizeBytes !== undefined && isRegion)
    throw new UsageError(`size= is not for store=${store}: the pool is as large as its region`)
  if (isNew && isRegion)
    throw new UsageError(`new is not for store=${store}: 'guestmemfs format' makes a new pool of a region`)
  if (region !== undefined && !isRegion)
    throw new UsageError(`region= is only for ${named(({ find }) => find !== undefined)}: write both`)
  if (alignBytes !== undefined && alignBytes > largestPageBytes) {
    const able = named((driver) => driver.largestPageBytes >= alignBytes)
    throw new UsageError(`align=1G is only for ${able}: no other memory is mapped in pages of 1G`)
  }
}

/** Of those that `fits` picks, as in a list of mount options. */
const named = (fits: (driver: StoreDriver) => boolean): string =>
  STORE_KINDS.filter((kind) => fits(STORES[kind]))
    .map((kind) => `store=${kind}`)
    .join(' and ')

function parseSessionFiles(text: string): number {
  if (/^\d{1,6}$/.test(text) && Number(text) > 0) return Number(text)
  throw new UsageError(`session-files=${text} is no number of files: take one from 1 to 999999`)
}

function parseAlign(text: string): number {
  const bytes = parseSize(text, 'align')
  if (bytes === PMD_BYTES || bytes === PUD_BYTES) return bytes
  throw new UsageError(`align=${text} is no size of pages: take 2M or 1G`)
}

function parseStore(text: string): StoreKind {
  const store = STORE_KINDS.find((kind) => kind === text)
  if (store === undefined)
    throw new UsageError(`store '${text}' is not known: take ${STORE_KINDS.join(' or ')}`)
  return store
}
