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
import { commandAs, type Identity } from './identity.ts'
import type { RamFile } from './memory-backends.ts'

/** What a file of a mount says about itself, a link included. */
const MAP_XATTR = 'guestmemfs.map'
const MapSchema = v.object({ kind: v.string(), sizeBytes: v.number() })

/**
 * Undefined: there is no such file. Errors (UsageError): it is neither a file nor guest RAM that is reached by a link, or its memory was lost
 * between two kernels.
 */
export function ramFileBytes(path: string): number | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return undefined
  const map = stat.isFile() || stat.isSymbolicLink() ? lgetxattr(path, MAP_XATTR) : undefined
  if (map === undefined || map instanceof Errno) {
    if (stat.isFile()) return stat.size
    throw new UsageError(`${path} is not a file`)
  }
  const { kind, sizeBytes } = v.parse(MapSchema, JSON.parse(Buffer.from(map).toString('utf8')))
  if (kind === 'lost')
    throw new UsageError(
      `${path} was lost on its way from the former kernel: delete it, or truncate it to 0 for a new guest`,
    )
  return sizeBytes
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
