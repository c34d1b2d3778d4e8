/**
 * A small file that is replaced by rename: its reader never sees half of it, and a killed writer leaves the
 * former one.
 */
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { errnoOfNodeError } from '../linux/library.ts'
import { replaceBy, writeNewFile } from '../linux/replacement.ts'
import { ENOSPC } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'

/**
 * Where a small file is put while its own file system is full. /dev is a file system with room of its own, in
 * which root alone makes files.
 */
export const SPARE = '/dev/guestmemfs-run'

/** `mode`: who may read it. Errors: Node's, of the file system; then the former file is there. */
export const replaceFile = (path: string, text: string, mode: number): void =>
  replaceBy(path, besideOf(path), (temporary) => writeFileSync(temporary, text, { mode }))

/** In a folder in which no other user can make a file. */
const besideOf = (path: string): string => `${path}.new`

/**
 * As `replaceFile`, for a file that the operator named: its folder may not be root's, so the new one has a
 * name that no other user can guess, and only a regular file is replaced (never /dev/null). `mode`: of a file
 * that is new; one that this user owns keeps its own. Errors: UsageError.
 */
export function replaceOutput(path: string, text: string, mode: number): void {
  try {
    const former = lstatSync(path, { throwIfNoEntry: false })
    if (former?.isFile() === false) throw new UsageError(`${path} is no regular file: name another one`)
    const isOwn = former !== undefined && former.uid === process.geteuid?.()
    const unguessed = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
    replaceBy(path, unguessed, (temporary) =>
      writeNewFile(temporary, text, isOwn ? former.mode & 0o777 : mode),
    )
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`${path} cannot be written (${errnoOfNodeError(error)})`)
  }
}

/**
 * As `replaceFile`; where the file system is full, the text is in a file of /dev, to which a symlink in its
 * place leads: one of less than 128 bytes takes no page of a tmpfs (shmem_symlink(), mm/shmem.c). Where there
 * is no room for that either, it is written over the former one, whose page tmpfs does not take again, with
 * spaces up to its length. For a small file whose reader ignores spaces at the end, and treats half a text as
 * none. Errors: Node's.
 */
export function replaceFileWhenFull(path: string, text: string, mode: number): void {
  const former = formerSpare(path)
  try {
    replaceFile(path, text, mode)
    if (former !== undefined) rmSync(former, { force: true })
  } catch (error) {
    if (errnoOfNodeError(error) !== ENOSPC) throw error
    if (replaceWithSpare(path, text, mode)) return
    if (!existsSync(path)) throw error
    const fd = openSync(path, 'r+')
    try {
      const spare = fstatSync(fd).size - Buffer.byteLength(text)
      writeSync(fd, text + ' '.repeat(Math.max(0, spare)), 0)
    } finally {
      closeSync(fd)
    }
  }
}

const spareOf = (path: string): string => join(SPARE, path.replaceAll('/', '%'))

/** The file in /dev to which the one at `path` leads. */
const formerSpare = (path: string): string | undefined =>
  lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ? spareOf(path) : undefined

/** With its spare in /dev, if `replaceFileWhenFull` made one. No error where it is missing. */
export function removeFile(path: string): void {
  const former = formerSpare(path)
  rmSync(path, { force: true })
  if (former !== undefined) rmSync(former, { force: true })
}

/** False: there is no room in /dev, or none for a symlink. */
function replaceWithSpare(path: string, text: string, mode: number): boolean {
  const spare = spareOf(path)
  try {
    mkdirSync(SPARE, { recursive: true, mode: 0o755 })
    replaceFile(spare, text, mode)
    replaceBy(path, besideOf(path), (temporary) => symlinkSync(spare, temporary))
    return true
  } catch (error) {
    errnoOfNodeError(error)
    return false
  }
}

/** False: it is in /dev, since the file system is full, or is missing. */
export const isInPlace = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false
