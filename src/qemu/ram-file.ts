/**
 * Owns a guest's RAM file as `run` finds or makes it, before QEMU opens it. Where guest RAM is reached
 * through a device, the file's name becomes a link to that device as soon as it has a size, so it must have
 * one by then: QEMU could make an empty file and size it by itself, but not map what it has open.
 */
import { spawnSync } from 'node:child_process'
import { lstatSync } from 'node:fs'
import * as v from 'valibot'
import { lgetxattr } from '../linux/xattr.ts'
import { Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { MAP_KINDS, type MappedBy, mappedBy } from '../values/mapping.ts'
import { formatSize } from '../values/size.ts'
import { MAP_XATTR } from '../values/xattr-names.ts'
import { commandAs, type Identity } from './identity.ts'
import type { RamFile } from './memory-backends.ts'

/** What a file of a mount says about itself, a link included. */
const MapSchema = v.object({
  kind: v.picklist(Object.values(MAP_KINDS)),
  sizeBytes: v.number(),
  alignBytes: v.number(),
  path: v.optional(v.string()),
  offsetBytes: v.optional(v.number()),
})

const WindowSchema = v.object({ path: v.string(), offsetBytes: v.number() })

/** How QEMU maps the file. By anything but a window of /dev/mem the file's own name leads there. */
export type RamMap = { readonly sizeBytes: number; readonly alignBytes: number } & (
  | { readonly by: Exclude<MappedBy, 'devmem'> }
  | { readonly by: 'devmem'; readonly path: string; readonly offsetBytes: number }
)

/**
 * Undefined: there is no such file. Errors (UsageError): it is neither a file nor guest RAM that is reached
 * by a link, or its memory was lost between two kernels.
 */
export function ramFileBytes(path: string): number | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return undefined
  if (!stat.isFile() && !stat.isSymbolicLink()) throw new UsageError(`${path} is not a file`)
  const map = lgetxattr(path, MAP_XATTR)
  // Anywhere else a file is what it is, and a link is none.
  if (map instanceof Errno && stat.isFile()) return stat.size
  const { by, sizeBytes } = readRamMap(path)
  if (by === 'lost')
    throw new UsageError(
      `${path} was lost on its way from the former kernel: delete it, or truncate it to 0 for a new guest`,
    )
  return sizeBytes
}

/** Errors (UsageError): there is no such file in a mount of ours. */
export function readRamMap(path: string): RamMap {
  const map = lgetxattr(path, MAP_XATTR)
  if (map instanceof Errno) throw new UsageError(`${path} is not a file of a guestmemfs mount (${map})`)
  return parseRamMap(Buffer.from(map).toString('utf8'))
}

/** `text`: JSON of `guestmemfs.map`. */
export function parseRamMap(text: string): RamMap {
  const map = v.parse(MapSchema, JSON.parse(text))
  const { kind, sizeBytes, alignBytes } = map
  const by = mappedBy(kind)
  if (by !== 'devmem') return { by, sizeBytes, alignBytes }
  const { path, offsetBytes } = v.parse(WindowSchema, map)
  return { by, path, offsetBytes, sizeBytes, alignBytes }
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
