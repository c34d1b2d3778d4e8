/** Every xattr by which a mount of guestmemfs is read and controlled, for the manual page. */
import {
  ALIGN_XATTR,
  FORMAT_XATTR,
  FROZEN_XATTR,
  HANDOVER_XATTR,
  MAP_XATTR,
  NODE_XATTR,
  POOL_XATTR,
  RAM_CLAIMS_XATTR,
  SIZE_XATTR,
  UPDATE_XATTR,
  VIRTUAL_PREFIX,
  VM_XATTR,
} from '../../src/values/xattr-names.ts'

export interface XattrText {
  readonly name: string
  /** What it is on. */
  readonly on: string
  readonly read: string
  /** Who may set it; undefined: no process. */
  readonly set?: string
  readonly value: string
  /** Besides those that every xattr has. */
  readonly errors?: readonly string[]
}

const virtual = (name: string): string => VIRTUAL_PREFIX + name

const ROOT = 'the root directory'
const BY_READERS = 'all who may read the directory'
const BY_UID_0 = 'uid 0, for it names files whatever directories they lie in'
const BY_FILE_READERS = 'all who may read the file'
const BY_ADMIN = 'a process with CAP_SYS_ADMIN'
const NOT_UID_0 = 'EPERM: the caller is not uid 0.'
const NOT_FROZEN = 'EBUSY: the pool is frozen.'
const NO_ROOM = 'ENOSPC: there is no room in the image.'
const PAGED = 'In pages.'

/** Computed at each read: what the pool is. */
export const OF_THE_POOL: readonly XattrText[] = [
  {
    name: POOL_XATTR,
    on: ROOT,
    read: BY_READERS,
    value: `
      *name*, *uuid*, *store*, *generation* (the number of the checkpoint of its image), *frozen*; for a
      region *place*: its *startByte*, its *sizeBytes*, and *nodes*: which part of it (*startByte*,
      *sizeBytes*) is of which memory *node*, where the kernel shows that.`,
  },
  {
    name: virtual('geometry'),
    on: ROOT,
    read: BY_READERS,
    value: `
      *blockBytes*, *totalBytes*, and in blocks: *totalBlocks*, *ownedBlocks*, *cleanBlocks*, *dirtyBlocks*,
      *badBlocks*, *freeForGuestRamBlocks*, *freeForOrdinaryBlocks*; where pages of 1 GiB can be had
      *frameBlocks* and *wholeFrames*.`,
  },
  {
    name: virtual('health'),
    on: ROOT,
    read: BY_READERS,
    value: `
      *badBlocks* that no file has, *badBlocksInFiles* where there are any, *dirtyBlocks*, *orphans*,
      *orphanBlocks*, *awaitedFiles*, *lostFiles*; where the service manager keeps descriptors
      *storedFiles*, *unstoredFiles* and *mostStoredFiles*; *refusedByFormat*, requests that an image of an
      older format could not hold.`,
  },
  {
    name: virtual('size'),
    on: ROOT,
    read: BY_READERS,
    value: '*totalBytes*, and *leastBytes*, the least size that the pool could have now.',
    errors: ['ENODATA: the pool is in a region, whose size is fixed.'],
  },
  {
    name: FORMAT_XATTR,
    on: ROOT,
    read: BY_READERS,
    set: 'uid 0: the newest version upgrades the image to it, for good',
    value: `
      Read: *version* of the format of the image, and *newest*, which this server can write. Set: a version,
      in decimal.`,
    errors: [
      NOT_UID_0,
      'EINVAL: another inode than the root, or another version than that of the image and the newest.',
      'EBUSY: the pool is frozen or being handed over.',
    ],
  },
  {
    name: virtual('server'),
    on: ROOT,
    read: BY_READERS,
    value:
      '*pid*, *keeperPid*, *restarts*, *startedAt* (ISO 8601) and *askedAtMs*, when the mount was asked for.',
  },
  {
    name: virtual('handover'),
    on: ROOT,
    read: BY_UID_0,
    value: `
      *step* (*none*, *ram*, *files*, *image*), *state* (*idle*, *busy*, *done*, *failed*, *undoing*),
      *memories* and how many of them are *preserved*, *failure* (null, or *errno* and *path*), *holeBytes*,
      memory that the kernel would allocate for holes.`,
    errors: [NOT_UID_0, 'ENODATA: the memory of this pool outlives a kernel by itself.'],
  },
  {
    name: virtual('bad'),
    on: ROOT,
    read: BY_UID_0,
    value: `
      ${PAGED} Where memory of the pool has failed: *poolOffsetBytes*, *lengthBytes*, for a region
      *startByte*, its physical address; of a file that has it *ino*, *fileOffsetBytes*, and *file*, its path
      below the mount. What no file has goes to none any more.`,
    errors: [NOT_UID_0],
  },
  {
    name: virtual('orphans'),
    on: ROOT,
    read: BY_UID_0,
    value: `
      ${PAGED} Files without a name that are not evicted: *ino*, *kind*, *sizeBytes*, *guestRam*, *blocks*,
      and *heldBy*, a process that maps it.`,
    errors: [NOT_UID_0],
  },
  {
    name: virtual('ram'),
    on: ROOT,
    read: BY_UID_0,
    value: `
      ${PAGED} Guest RAM that has a name: *file*, *extents* (how many), and *map*, as *${MAP_XATTR}* of the
      file.`,
    errors: [NOT_UID_0],
  },
  {
    name: virtual('vms'),
    on: ROOT,
    read: BY_UID_0,
    value: `
      ${PAGED} Files that a VM is recorded on: *path* below the mount, *ino*, and the *name* of the VM.`,
    errors: [NOT_UID_0],
  },
]

/** Computed at each read: what a file is. */
export const OF_A_FILE: readonly XattrText[] = [
  {
    name: MAP_XATTR,
    on: 'a file',
    read: BY_FILE_READERS,
    value: `
      What to open to map it: *kind* (*file*, this file; *device*; *window* of /dev/mem; *none*; *awaited*,
      its memory is incoming, still to be retrieved from the former kernel; *lost*), with *path* and *offsetBytes* or *major*
      and *minor* where they are others, *sizeBytes* and *alignBytes*, and *nodes*, the memory nodes that it
      lies in, where they are known.`,
  },
  {
    name: virtual('kind'),
    on: 'a file',
    read: BY_FILE_READERS,
    value: '*guest-ram* or *ordinary*, as text.',
  },
  {
    name: virtual('extents'),
    on: 'a file',
    read: BY_FILE_READERS,
    value: `
      ${PAGED} Which blocks of the pool hold it, in its order: *fileOffsetBytes*, *poolOffsetBytes*,
      *lengthBytes*.`,
  },
]

/** What controls a pool, and what commands keep in it. */
export const CONTROLS: readonly XattrText[] = [
  {
    name: FROZEN_XATTR,
    on: ROOT,
    read: BY_ADMIN,
    set: BY_ADMIN,
    value: `
      *1* freezes the pool: every modification answers EBUSY from then on. *0* thaws it, and unpreserves
      what was preserved for the next kernel.`,
    errors: ['EINVAL: another value, or another inode.', 'EPERM: it is removed.', NO_ROOM],
  },
  {
    name: SIZE_XATTR,
    on: `a file, or ${ROOT}`,
    read: BY_ADMIN,
    set: BY_ADMIN,
    value: `
      Decimal bytes. Of a file: its size, as truncate(2) sets it; the only way to resize guest RAM that is
      shown as a link to a device. Of the root: the size of the pool, where its memory is that of the host.`,
    errors: [
      `
        EBUSY: the pool is frozen; a process maps the file, in a store whose files cannot change then; the
        file is being handed over; more of the pool is in use.`,
      'EINVAL: no decimal number, or no size that the file or the pool can have.',
      'EISDIR: another directory than the root.',
      'EFBIG: larger than a file can be.',
      'ENOSPC: there are not as many free blocks.',
      'EOPNOTSUPP: the pool is in a region, and its size is fixed.',
      'EPERM: it is removed; or the format of the image is too old to hold another size of the pool.',
    ],
  },
  {
    name: NODE_XATTR,
    on: `a file, or ${ROOT}`,
    read: BY_ADMIN,
    value: `
      The memory nodes (NUMA) that the file lies in, ascending, as *0* or *0,1*; of the root those of the
      pool.`,
    errors: [
      'ENODATA: the pool is in no region, the file has no memory, or the kernel does not show the nodes.',
      'EPERM: it is set or removed.',
    ],
  },
  {
    name: ALIGN_XATTR,
    on: 'a directory',
    read: BY_ADMIN,
    set: BY_ADMIN,
    value: `
      The size of the pages of guest RAM that is made in the directory or below it from now on; the nearest
      directory that has it counts. Set: bytes, or with M or G, as *1G*. Read: decimal bytes.`,
    errors: [
      NOT_FROZEN,
      'EINVAL: no directory, or no size of pages.',
      'EOPNOTSUPP: this memory has no such pages.',
      NO_ROOM,
    ],
  },
  {
    name: HANDOVER_XATTR,
    on: ROOT,
    read: 'no process: *guestmemfs.handover* shows the progress',
    set: BY_ADMIN,
    value: `
      *ram*, *files* and *image* begin that step of the handover to the next kernel; *none* unpreserves
      everything.`,
    errors: [
      'EOPNOTSUPP: the memory of this pool outlives a kernel by itself.',
      'EINVAL: another word or inode, or a step that is not the next one.',
      `
        EBUSY: a step is under way or has failed; a file is still to be retrieved; the pool is not frozen,
        which *files* and *image* need.`,
      'ENOMEM, EMFILE, ENOSPC, EFBIG: the image could not be preserved.',
    ],
  },
  {
    name: UPDATE_XATTR,
    on: ROOT,
    read: BY_ADMIN,
    set: `${BY_ADMIN}, also while the pool is frozen`,
    value: `
      The record of the live update that starts the next kernel, a JSON object. *guestmemfs live-update*
      writes it, *guestmemfs resume* reads and removes it.`,
    errors: [
      'EINVAL: another inode, or no JSON object.',
      'E2BIG: more than 64 KiB.',
      'EBUSY: it is removed while the pool is frozen.',
      NO_ROOM,
    ],
  },
  {
    name: VM_XATTR,
    on: 'guest RAM, or a file that is still empty',
    read: BY_ADMIN,
    set: BY_ADMIN,
    value: `
      The definition of the VM whose RAM it is, a JSON object: its command line, its user, its saved state.
      *guestmemfs run* writes it.`,
    errors: [
      NOT_FROZEN,
      'EPERM: it is no guest RAM, and not empty.',
      'EINVAL: no JSON object.',
      'E2BIG: more than 64 KiB.',
      NO_ROOM,
    ],
  },
  {
    name: RAM_CLAIMS_XATTR,
    on: 'each RAM file of a VM but its first',
    read: BY_ADMIN,
    set: BY_ADMIN,
    value: `
      A JSON array of claims: which VMs the file belongs to, and where each is recorded. It is listed and
      copied as any xattr is; a claim names the file that it was written on.`,
    errors: [NOT_FROZEN, 'E2BIG: more than 64 KiB.', NO_ROOM],
  },
]
