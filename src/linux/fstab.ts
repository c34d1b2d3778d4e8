/** The lines of /etc/fstab, as mount(8) and systemd read them: fstab(5). Must not: know what is mounted. */
import { readFileSync } from 'node:fs'
import { unmangle } from './mounts.ts'

export interface FstabLine {
  readonly source: string
  readonly directory: string
  readonly type: string
  /** As written, separated by commas. */
  readonly options: string
}

/** None where there is no such file, or this user may not read it. */
export function readFstab(path = '/etc/fstab'): FstabLine[] {
  try {
    return parseFstab(readFileSync(path, 'latin1'))
  } catch {
    return []
  }
}

/** `text`: read as latin1. Comments, and lines without a directory, are left out. */
export function parseFstab(text: string): FstabLine[] {
  return text.split('\n').flatMap((line) => {
    const [source = '', directory, type = '', options = ''] = line.trim().split(/\s+/)
    if (source.startsWith('#') || directory === undefined) return []
    return [{ source: unmangle(source), directory: unmangle(directory), type, options }]
  })
}

/** Of a pool; its name is the source. */
export const isPoolLine = ({ type }: FstabLine): boolean => /^(?:fuse\.)?guestmemfs$/.test(type)

/** As `fstype_is_network` of systemd has them (src/basic/mountpoint-util.c). */
const NETWORK =
  /^(?:fuse\.)?(?:9p|afs|ceph|cifs|davfs2?|gfs2?|glusterfs|lustre|ncp|ncpfs|nfs4?|ocfs2|pvfs2|smb3|smbfs|sshfs|virtiofs)$/

/** The option of a line that is not mounted with all others: fstab(5). */
export const NOT_WITH_OTHERS = 'noauto'

type Options = Pick<FstabLine, 'options'>

const hasOption = ({ options }: Options, option: string): boolean => options.split(',').includes(option)

/** systemd mounts it only after the network is up, or where something else asks for it. */
export const isMountedLate = (line: FstabLine): boolean =>
  NETWORK.test(line.type) || hasOption(line, '_netdev') || hasOption(line, NOT_WITH_OTHERS)

/** With all others, or by an option of systemd's, such as `x-systemd.automount` (systemd.mount(5)). */
export const isMountedAtBoot = (line: Options): boolean =>
  !hasOption(line, NOT_WITH_OTHERS) || /(^|,)x-systemd\./.test(line.options)
