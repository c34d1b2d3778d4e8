/**
 * The words after `-o` of a mount, for its manual page and docs/reference: what the options of guestmemfs
 * mean, which words of all file systems it takes, what a remount and a line of fstab(5) do with them.
 */
import { OWN_OPTIONS } from '../../src/pool/mount-options.ts'
import { FLAG_WORDS } from '../../src/pool/vfs-options.ts'

/** By the option without its value. */
const MEANINGS: Readonly<Record<string, string>> = {
  'size=': `
    The size of the pool: bytes, or with K, M, G or T, or a share of the memory of the machine, as *50%*.
    Default: what *guestmemfs=SIZE* on the command line of the kernel says, else half of the memory. It is
    rounded down to blocks of 2 MiB. Memory is taken when it is touched, not when the pool is mounted. A
    pool that is there has its size, and is mounted without this option or with that size. Refused for a
    pool in a region, which is as large as its region.`,
  'store=': `
    Where the memory of a new pool is: *memfd*, the memory of the host, which is the default; *dax*, a
    region that was set aside at boot; *devmem*, a range that the kernel does not map. A pool that is there
    keeps its store; another one is refused. A pool in a region has to be mounted with it at each boot:
    without it a new pool of *memfd* is made.`,
  'region=': `
    With *dax* and *devmem*: which region, as /sys/bus/dax/devices names it (*dax0.0*), or its first byte
    (*0x100000000*). Not needed where there is one.`,
  'align=': `
    The size of the pages that guest RAM is placed for, *2M* or *1G*, stored in the pool;
    *trusted.guestmemfs.align* of a directory overrides it. *1G* is for *dax* alone. Guest RAM that exists
    stays as it is. Default: as an earlier mount has set it, else *2M*.`,
  new: `
    A new pool, where the former kernel handed one of this name over or may have done so, or where the
    memory of the former one is lost. For *memfd* alone.`,
  'session-files=': `
    How many files of guest RAM go into one session when the memory is handed to the next kernel. Default:
    120.`,
  'mode=': `
    The mode of the root directory, in octal, of a pool that holds nothing yet. Where the pool holds files
    it stays as it is, and one line says so.`,
  'uid=': 'Its owner, a number; as *mode=*.',
  'gid=': 'Its group, a number; as *mode=*.',
}

export interface MountOptionText {
  /** As it is typed: `size=SIZE`. */
  readonly option: string
  readonly about: string
}

/** Throws for an option without a meaning here. */
export const ownOptionTexts = (): MountOptionText[] =>
  OWN_OPTIONS.map((option) => {
    const [key = ''] = /^[^=]*=?/.exec(option) ?? []
    const about = MEANINGS[key]
    if (about === undefined)
      throw new Error(`${option}: say in scripts/reference/mount-option-table.ts what it means`)
    return { option, about }
  })

/** What every file system has. */
export const commonOptionTexts = (): MountOptionText[] => [
  {
    option: FLAG_WORDS.join(', '),
    about: 'As for every file system: see mount(8). Of a flag and its opposite the later one counts.',
  },
  {
    option: 'context=, fscontext=, defcontext=, rootcontext=',
    about: 'Labels of SELinux; refused where that does not run.',
  },
  {
    option: 'defaults, auto, noauto, nofail, _netdev, user, users, owner, group, comment=, x-*',
    about: 'For mount(8), fstab(5) and systemd alone, with their opposites; they change nothing here.',
  },
  { option: 'mand', about: 'Refused: Linux has no mandatory locks since 5.15.' },
]

/** Of every option and argument that is a size. */
export const SIZES_TEXT = `
  A size is a number of bytes, or a number with K, M, G or T, each 1024 times the one before: *512M* is
  536870912 bytes. *MB* and *MiB* are the same as *M*.`

export const REMOUNT_TEXT = `
  mount(8) adds what the line of fstab(5) says to each remount: after *remount,size=20G* a *remount,ro* brings
  the size of that line back. So change the line as well.`

/** docs/reference/host.md has the same with what each does to a pool. */
export const REMOUNTS: readonly (readonly [typed: string, about: string])[] = [
  ['ro, rw, noexec, noatime, ...', 'The mount has them.'],
  [
    'size=',
    `
      The pool has that size at once, larger or smaller, while guests run. Refused, with the least size that
      it can have, where more is in use; while it is frozen; where the mount is read-only; for a region; and
      where the image is of format 1, which *guestmemfs upgrade* changes.`,
  ],
  ['store=, region=', 'Refused where they are others than the pool has.'],
  [
    'mode=, uid=, gid=, align=, new',
    'Without effect: they are for the making of a pool, and the mount of one.',
  ],
]

export const FSTAB_LINE = 'guestmemfs  /mnt/guestmemfs  guestmemfs  store=dax,nofail  0  0'
export const FSTAB_TEXT = `
  At boot it is mounted, and by *mount -a* and *mount /mnt/guestmemfs*. guestmemfs-resume.service, which
  is installed with the helper, is ordered after each such line and resumes the saved guests.`

export const FSTAB_WORDS: readonly (readonly [typed: string, about: string])[] = [
  [
    'nofail',
    `
      A boot goes on when the mount fails; without it, it stops in emergency mode. guestmemfs-resume.service
      waits for the mount in both cases, done or failed.`,
  ],
  ['noauto', 'The resume of saved guests waits for it only if something else mounts it in the same boot.'],
  ['0 0', 'The last two fields: there is nothing to dump, and no fsck(8) at boot.'],
]
