/**
 * Files that a QEMU has open and that neither its line nor its machine names: by which command they were
 * opened QEMU does not report (`logfile`, a dump, a descriptor that was passed), and the next QEMU does not
 * have them. Sockets, pipes and devices are left out: what has those is a device or a backend, which the
 * reading has.
 */
import { basename } from 'node:path'
import { type OpenFile, openFiles } from '../../linux/open-files.ts'
import { RUN } from '../../run/paths.ts'
import type { Reading } from './reading.ts'

/** Where files are that are none of a machine's: devices, the kernel's own, and those of guestmemfs. */
const ELSEWHERE = ['/dev/', '/proc/', '/sys/', '/memfd:', `${RUN}/`]
/** Standard input, output and error, which the next QEMU has as well. */
const STREAMS = 3
/** Names in one line. */
const MOST_NAMES = 3

/** `pid`: of QEMU; `argv`: its recorded line. One line, or none. */
export function unexplainedFiles(pid: number, argv: readonly string[], now: Reading): string[] {
  const names = unexplained(openFiles(pid) ?? [], [...argv, ...Object.values(now.items).flat()])
  if (names.length === 0) return []
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : ''
  return [
    `its QEMU has ${names.slice(0, MOST_NAMES).join(', ')}${more} open, which neither its command line nor its machine names: its next QEMU does not`,
  ]
}

/** `texts`: what names a file explains it, by the last part of its path: QEMU may have it by a symlink. */
export function unexplained(files: readonly OpenFile[], texts: readonly string[]): string[] {
  const streams = new Set(files.filter(({ fd }) => fd < STREAMS).map(({ path }) => path))
  const all = texts.join('\n')
  const paths = files.flatMap(({ path }) => {
    const file = path.replace(/ \(deleted\)$/, '')
    const isOther = !file.startsWith('/') || ELSEWHERE.some((start) => file.startsWith(start))
    return isOther || streams.has(path) || all.includes(basename(file)) ? [] : [file]
  })
  return [...new Set(paths)].toSorted()
}
