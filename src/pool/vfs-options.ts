/**
 * The mount options that every file system has: the flags of mount(2), the words that mount(8), fstab and
 * systemd keep for themselves, and the labels of SELinux.
 */
import { existsSync } from 'node:fs'
import { MOUNT_FLAGS, type MountFlag } from '../linux/mounts.ts'
import { UsageError } from '../values/errors.ts'

/**
 * The flags that a word clears, besides those that it sets: of two opposites the later counts, as with
 * mount(8).
 */
const CLEARS: Readonly<Record<string, readonly MountFlag[]>> = {
  rw: ['ro'],
  suid: ['nosuid'],
  dev: ['nodev'],
  exec: ['noexec'],
  async: ['sync', 'dirsync'],
  atime: ['noatime'],
  diratime: ['nodiratime'],
  norelatime: ['relatime'],
  nostrictatime: ['strictatime'],
  symfollow: ['nosymfollow'],
  loud: ['silent'],
  noiversion: ['iversion'],
  nolazytime: ['lazytime'],
  noatime: ['relatime', 'strictatime'],
  relatime: ['noatime', 'strictatime'],
  strictatime: ['noatime', 'relatime'],
  nomand: [],
}

/** All words that set or clear flags. */
export const FLAG_WORDS: readonly string[] = [
  ...new Set([...Object.keys(MOUNT_FLAGS), ...Object.keys(CLEARS)]),
].sort()

/** For mount(8), systemd or fsck alone. */
const NOT_FOR_US = /^(defaults|auto|noauto|nofail|_netdev|(no)?(users?|owner|group)|[xX]-.*|comment=.*)$/

const LABEL = /^(context|fscontext|defcontext|rootcontext)=/
/** Only where SELinux runs does the kernel take its labels out of the options before FUSE reads them. */
const SELINUX = '/sys/fs/selinux/enforce'

/** Flags of mount(2) so far, and options that go to the kernel as they are. */
export interface VfsOptions {
  readonly mountFlags: number
  readonly kernelOptions: readonly string[]
}

/**
 * Adds one word; undefined: it is not one of these. Throws UsageError for an option that no supported kernel
 * takes.
 */
export function addVfsOption(
  { mountFlags, kernelOptions }: VfsOptions,
  word: string,
  selinux = SELINUX,
): VfsOptions | undefined {
  const cleared = Object.hasOwn(CLEARS, word) ? (CLEARS[word] ?? []) : undefined
  const flag = Object.hasOwn(MOUNT_FLAGS, word) ? MOUNT_FLAGS[word as MountFlag] : undefined
  if (cleared !== undefined || flag !== undefined) {
    const without = (cleared ?? []).reduce((flags, name) => flags & ~MOUNT_FLAGS[name], mountFlags)
    return { mountFlags: without | (flag ?? 0), kernelOptions }
  }
  if (NOT_FOR_US.test(word)) return { mountFlags, kernelOptions }
  if (word === 'mand') throw new UsageError("mount option 'mand': Linux has no mandatory locks since 5.15")
  if (!LABEL.test(word)) return undefined
  if (!existsSync(selinux))
    throw new UsageError(`mount option '${word}' needs SELinux, which does not run here: mount without it`)
  return { mountFlags, kernelOptions: [...kernelOptions, word] }
}

/** The words of lists that are separated by commas; quotes keep the commas of a label together. */
export const splitOptions = (lists: readonly string[]): string[] =>
  lists.flatMap((list) => list.match(/(?:"[^"]*"|[^,])+/g) ?? [])
