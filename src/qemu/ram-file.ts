/**
 * Owns a guest's RAM file as `run` finds or makes it, before QEMU opens it. Where guest RAM is reached through a device, the file's
 * name becomes a link to that device as soon as it has a size, so it must have one by then: QEMU could make an empty file and size it
 * by itself, but not map what it has open.
 */
import { spawnSync } from 'node:child_process'
import { lstatSync } from 'node:fs'
import * as v from 'valibot'
import { lgetxattr } from '../linux/xattr.ts'
import { Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { formatSize } from '../values/size.ts'
import { MAP_XATTR } from '../values/xattr-names.ts'
import { commandAs, type Identity } from './identity.ts'
import type { RamFile } from './memory-backends.ts'

/** What a file of a mount says about itself, a link included. */
const Common = { sizeBytes: v.number(), alignBytes: v.number() }
const MapSchema = v.variant('kind', [
  v.object({ kind: v.picklist(['file', 'device', 'none', 'awaited', 'lost']), ...Common }),
  v.object({ kind: v.literal('window'), path: v.string(), offsetBytes: v.number(), ...Common }),
])
/** What to open, at which offset, to map the file; `file` and `device`: the file's own name leads there. */
export type RamMap = v.InferOutput<typeof MapSchema>

/**
 * Undefined: there is no such file. Errors (UsageError): it is neither a file nor guest RAM that is reached by a link, or its memory was lost
 * between two kernels.
 */
export function ramFileBytes(path: string): number | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return undefined
  if (!stat.isFile() && !stat.isSymbolicLink()) throw new UsageError(`${path} is not a file`)
  const map = lgetxattr(path, MAP_XATTR)
  // Anywhere else a file is what it is, and a link is none.
  if (map instanceof Errno && stat.isFile()) return stat.size
  const { kind, sizeBytes } = readRamMap(path)
  if (kind === 'lost')
    throw new UsageError(
      `${path} was lost on its way from the former kernel: delete it, or truncate it to 0 for a new guest`,
    )
  return sizeBytes
}

/** Errors (UsageError): there is no such file in a mount of ours. */
export function readRamMap(path: string): RamMap {
  const map = lgetxattr(path, MAP_XATTR)
  if (map instanceof Errno) throw new UsageError(`${path} is not a file of a guestmemfs mount (${map})`)
  return v.parse(MapSchema, JSON.parse(Buffer.from(map).toString('utf8')))
}

/** Made by its user, with its user's permissions. Errors (UsageError): too small, no room, no permission. */
export function prepareRamFile({ id, path, sizeBytes }: RamFile, identity: Identity): void {
  const bytes = ramFileBytes(path) ?? 0
  if (bytes >= sizeBytes) return
  if (bytes > 0) {
    throw new UsageError(
      `memory backend '${id}': ${path} has ${formatSize(bytes)}, its size=${formatSize(sizeBytes)} is more: make both the same`,
    )
  }
  const [program, ...words] = commandAs(identity, ['truncate', '-s', String(sizeBytes), '--', path])
  const made = spawnSync(program, words, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' })
  if (made.status === 0) return
  const reason = made.error?.message ?? made.stderr.trim().split(': ').at(-1)
  throw new UsageError(`RAM file ${path} could not be made: ${reason}`)
}
