/**
 * What a QEMU writes to its standard error while it starts and loads a guest: the reason why it cannot. Over
 * QMP, QEMU reports only that it failed ("load of migration failed"). This is read where standard error is a
 * file; on a terminal the operator sees it there.
 */
import { closeSync, constants, fstatSync, openSync, readlinkSync, readSync, type Stats } from 'node:fs'
import { isAlive } from '../run/process-identity.ts'
import { readRuntime, vmPaths } from '../run/vm-runtime.ts'

const MOST_BYTES = 4096
const MOST_CHARACTERS = 400
/** A line that adds nothing to the ones before it. */
const EMPTY_LINE = /^load of migration failed: Invalid argument$/

/** The place in a file where QEMU's next lines begin. */
export interface OutputMark {
  readonly path: string
  readonly offset: number
  readonly dev: number
  readonly ino: number
}

/** Of the QEMU that runs, or of one that will have the VM's log. undefined: its standard error is no file. */
export function markErrorOutput(name: string): OutputMark | undefined {
  const { qemu, errors } = readRuntime(name) ?? {}
  if (qemu == null || !isAlive(qemu)) return markFile(vmPaths(name).log)
  const mark = errors && markFile(`/proc/${qemu.pid}/fd/2`)
  // QEMU's user may have put any other file there.
  return mark !== undefined && mark.dev === errors?.dev && mark.ino === errors.ino ? mark : undefined
}

/** The end of the same file as it is now. */
export const markAgain = (mark: OutputMark | undefined): OutputMark | undefined =>
  mark && withMarked(mark, (_, sizeBytes) => ({ ...mark, offset: sizeBytes }))

function markFile(path: string): OutputMark | undefined {
  return withFile(path, (fd, { dev, ino, size }) => ({
    path: readlinkSync(`/proc/self/fd/${fd}`),
    offset: size,
    dev,
    ino,
  }))
}

/** In one line; empty: QEMU wrote nothing, or it cannot be read. */
export function errorOutputSince(mark: OutputMark | undefined): string {
  return linesOfQemu((mark && withMarked(mark, (fd, sizeBytes) => textOf(fd, mark.offset, sizeBytes))) ?? '')
}

/** As `errorOutputSince`, of the end of a file. */
export const endOfErrorOutput = (path: string): string =>
  linesOfQemu(withFile(path, (fd, { size }) => textOf(fd, Math.max(0, size - MOST_BYTES), size)) ?? '')

function textOf(fd: number, offset: number, sizeBytes: number): string {
  const bytes = Buffer.alloc(Math.max(0, Math.min(MOST_BYTES, sizeBytes - offset)))
  return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, offset))
}

/** A user may replace the file by another: nothing of that one is read. */
function withMarked<T>(mark: OutputMark, use: (fd: number, sizeBytes: number) => T): T | undefined {
  return withFile(mark.path, (fd, { dev, ino, size }) =>
    dev === mark.dev && ino === mark.ino ? use(fd, size) : undefined,
  )
}

/** The lines of a log that QEMU wrote, in one; empty: there are none. */
function linesOfQemu(text: string): string {
  const lines = text.split(/[\r\n]+/).flatMap((line) => {
    const at = line.indexOf(': ')
    const isQemus = /qemu|kvm/.test(line.slice(0, Math.max(0, at)))
    return isQemus ? [line.slice(at + 2).replace(/[^\x20-\x7e]/g, '?')] : []
  })
  return [...new Set(lines.filter((line) => !EMPTY_LINE.test(line)))].join('; ').slice(0, MOST_CHARACTERS)
}

/** Of a regular file alone: a read of anything else could block, or take input from another reader. */
function withFile<T>(path: string, use: (fd: number, stat: Stats) => T): T | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stat = fstatSync(fd)
      return stat.isFile() ? use(fd, stat) : undefined
    } finally {
      closeSync(fd)
    }
  } catch {
    return undefined
  }
}
