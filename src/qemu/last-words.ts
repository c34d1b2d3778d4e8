/**
 * What a QEMU writes to its standard error while it starts and loads a guest: the reason why it cannot. Over
 * QMP it reports only that it failed ("load of migration failed"). Read where standard error is a file; on a
 * terminal a person sees it there.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { isAlive } from '../run/process-identity.ts'
import { readRuntime, vmPaths } from '../run/vm-runtime.ts'

const MOST_BYTES = 4096
const MOST_CHARACTERS = 400
/** A line that adds nothing to the ones before it. */
const EMPTY_WORDS = /^load of migration failed: Invalid argument$/

/** The place in a file where QEMU's next lines begin. */
export interface WordsMark {
  readonly path: string
  readonly offset: number
}

/** undefined: QEMU's standard error is no file. */
export function markWords(name: string): WordsMark | undefined {
  const supervisor = readRuntime(name)?.supervisor
  // The supervisor's own, which is root's: QEMU's belongs to its user, who may have put any file there.
  const isSupervised = supervisor !== undefined && isAlive(supervisor)
  const path = isSupervised ? `/proc/${supervisor.pid}/fd/2` : vmPaths(name).log
  const offset = withFile(path, (_, sizeBytes) => sizeBytes)
  return offset === undefined && isSupervised ? undefined : { path, offset: offset ?? 0 }
}

/** In one line; empty: QEMU wrote nothing, or it cannot be read. */
export function wordsSince(mark: WordsMark | undefined): string {
  return mark === undefined ? '' : wordsFrom(mark.path, () => mark.offset)
}

/** As `wordsSince`, of the end of a file. */
export const lastWords = (path: string): string =>
  wordsFrom(path, (sizeBytes) => Math.max(0, sizeBytes - MOST_BYTES))

function wordsFrom(path: string, offsetOf: (sizeBytes: number) => number): string {
  const text = withFile(path, (fd, sizeBytes) => {
    const offset = offsetOf(sizeBytes)
    const bytes = Buffer.alloc(Math.max(0, Math.min(MOST_BYTES, sizeBytes - offset)))
    return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, offset))
  })
  return qemuWords(text ?? '')
}

/** The lines of a log that QEMU wrote, in one; empty: there are none. */
function qemuWords(text: string): string {
  const lines = text.split(/[\r\n]+/).flatMap((line) => {
    const at = line.indexOf(': ')
    const isQemus = /qemu|kvm/.test(line.slice(0, Math.max(0, at)))
    return isQemus ? [line.slice(at + 2).replace(/[^\x20-\x7e]/g, '?')] : []
  })
  return [...new Set(lines.filter((line) => !EMPTY_WORDS.test(line)))].join('; ').slice(0, MOST_CHARACTERS)
}

/** Of a regular file alone: a read of anything else could block, or take input from another reader. */
function withFile<T>(path: string, use: (fd: number, sizeBytes: number) => T): T | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stat = fstatSync(fd)
      return stat.isFile() ? use(fd, stat.size) : undefined
    } finally {
      closeSync(fd)
    }
  } catch {
    return undefined
  }
}
