/**
 * The words after `-o`: those of guestmemfs (`size=`), and those of every file system (vfs-options.ts). An
 * unknown word is refused, not ignored: it may be a misspelt size.
 */
import { memoryInfo } from '../linux/memory-info.ts'
import { MOUNT_FLAGS } from '../linux/mounts.ts'
import type { RootDirectory } from '../server/messages.ts'
import type { StoreDriver } from '../stores/driver.ts'
import { STORES } from '../stores/registry.ts'
import { UsageError } from '../values/errors.ts'
import { parseSize } from '../values/size.ts'
import { DEFAULT_STORE, STORE_KINDS, type StoreKind } from '../values/store-kinds.ts'
import { PERMISSION_BITS } from '../values/uapi.ts'
import { PMD_BYTES, PUD_BYTES } from '../values/units.ts'
import { addVfsOption, splitOptions, type VfsOptions } from './vfs-options.ts'

export interface MountOptions extends VfsOptions {
  /** Undefined: memfds, unless the pool exists already. */
  readonly store: StoreKind | undefined
  /**
   * Which carve-out: as /sys/bus/dax/devices names its device (`dax0.0`), or its first byte. Undefined: the
   * only one there is.
   */
  readonly region: string | undefined
  readonly sizeBytes: number | undefined
  /** A new pool even where the former kernel handed over one of this name, or may have. */
  readonly isNew: boolean
  /** Most files that one live update session takes. */
  readonly sessionFiles: number
  /**
   * The size of the pages of guest RAM, unless its directory has another. Undefined: as an earlier mount set
   * it, else 2 MiB.
   */
  readonly alignBytes: number | undefined
  /** Mode and owner of the root directory of a pool that holds nothing yet, as the options of tmpfs. */
  readonly rootDirectory: RootDirectory
}

/** Linux 6.19 takes some 128 files in a session; 7.3 compares each further one with all before it. */
export const SESSION_FILES = 120

/** The options while they are parsed. */
type Draft = { -readonly [Key in keyof MountOptions]: MountOptions[Key] }

const NOTHING: MountOptions = {
  store: undefined,
  region: undefined,
  sizeBytes: undefined,
  isNew: false,
  sessionFiles: SESSION_FILES,
  alignBytes: undefined,
  rootDirectory: {},
  mountFlags: 0,
  kernelOptions: [],
}

interface OwnOption {
  /** What stands for its value in the manual and in messages; empty: it has none. */
  readonly value: string
  readonly set: (draft: Draft, value: string) => void
}

/** By what is written before the `=`, or a word of its own. */
const OURS: Readonly<Record<string, OwnOption>> = {
  'size=': {
    value: 'SIZE',
    set: (draft, value) => {
      draft.sizeBytes = parsePoolSize(value)
    },
  },
  'store=': {
    value: STORE_KINDS.join('|'),
    set: (draft, value) => {
      draft.store = parseStore(value)
    },
  },
  'region=': {
    value: 'NAME',
    set: (draft, value) => {
      draft.region = value
    },
  },
  'align=': {
    value: '2M|1G',
    set: (draft, value) => {
      draft.alignBytes = parseAlign(value)
    },
  },
  new: {
    value: '',
    set: (draft) => {
      draft.isNew = true
    },
  },
  'session-files=': {
    value: 'N',
    set: (draft, value) => {
      draft.sessionFiles = parseSessionFiles(value)
    },
  },
  'mode=': {
    value: 'MODE',
    set: (draft, value) => {
      draft.rootDirectory = { ...draft.rootDirectory, mode: parseMode(value) }
    },
  },
  'uid=': {
    value: 'N',
    set: (draft, value) => {
      draft.rootDirectory = { ...draft.rootDirectory, uid: parseId('uid', value) }
    },
  },
  'gid=': {
    value: 'N',
    set: (draft, value) => {
      draft.rootDirectory = { ...draft.rootDirectory, gid: parseId('gid', value) }
    },
  },
}

/** The options of guestmemfs, such as `size=SIZE`. */
export const OWN_OPTIONS: readonly string[] = Object.entries(OURS).map(([key, { value }]) => key + value)

/** Throws UsageError: one line that names the word. */
export function parseMountOptions(lists: readonly string[]): MountOptions {
  const draft: Draft = { ...NOTHING }
  for (const word of splitOptions(lists)) {
    const [key = ''] = /^[^=]*=?/.exec(word) ?? []
    const ours = Object.hasOwn(OURS, key) ? OURS[key] : undefined
    if (ours) ours.set(draft, word.slice(key.length))
    else Object.assign(draft, addVfsOption(draft, word) ?? unknown(word))
  }
  checkStoreOptions(draft.store, draft)
  return draft
}

function unknown(word: string): never {
  throw new UsageError(
    `unknown mount option '${word}': known are ${[...OWN_OPTIONS, ...Object.keys(MOUNT_FLAGS)].join(', ')}`,
  )
}

/** Refuses options that the store does not have. Throws UsageError. */
function checkStoreOptions(
  store: StoreKind | undefined,
  options: Pick<MountOptions, 'sizeBytes' | 'region' | 'isNew' | 'alignBytes'>,
): void {
  const { sizeBytes, region, isNew, alignBytes } = options
  const { find, largestPageBytes } = STORES[store ?? DEFAULT_STORE]
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

/** The stores for which `fits` is true, as words of a mount's options. */
const named = (fits: (driver: StoreDriver) => boolean): string =>
  STORE_KINDS.filter((kind) => fits(STORES[kind]))
    .map((kind) => `store=${kind}`)
    .join(' and ')

/** As the option of tmpfs: bytes, or a share of the machine's memory. */
function parsePoolSize(text: string): number {
  const [, percent] = /^(\d{1,3})%$/.exec(text) ?? []
  if (percent === undefined) return parseSize(text, 'size')
  return Math.floor((memoryInfo().totalBytes * Number(percent)) / 100)
}

function parseMode(text: string): number {
  if (/^[0-7]{1,5}$/.test(text) && Number.parseInt(text, 8) <= PERMISSION_BITS)
    return Number.parseInt(text, 8)
  throw new UsageError(`mode=${text} is no mode: write it in octal, as 0755`)
}

/** 2^32 - 1 is no user's id (chown(2)). */
function parseId(what: 'uid' | 'gid', text: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) < 2 ** 32 - 1) return Number(text)
  throw new UsageError(`${what}=${text} is no number of a user or group: see 'id'`)
}

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
