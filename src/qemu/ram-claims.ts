/**
 * Which VMs a RAM file belongs to besides the one that is recorded on it: each file of a VM but its first has
 * a claim, in an xattr that only root can set. The record of a VM whose RAM lies in several pools is in one
 * of them. Where that one is not mounted, the others must not be taken for the RAM of another guest; and when
 * the guest is resumed, another file may have the name of one by then, in a pool that was mounted in the
 * other's place.
 *
 * Why no byte is lost: `run` gives a file with a claim to no other VM unless the record that the claim names
 * can be read, does not name the file, and names no file that is gone; `--replace` alone overrules it. A
 * command writes a claim before the record that needs it, beside those of others, and removes it after it.
 */
import { randomUUID } from 'node:crypto'
import * as v from 'valibot'
import { mountOver, pathProblem, statBeneath, withPlace } from '../linux/beneath.ts'
import { mountTable } from '../linux/mounts.ts'
import { lgetxattr, lremovexattr, lsetxattr } from '../linux/xattr.ts'
import { ENODATA, ENOENT, EOPNOTSUPP, Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { RAM_CLAIMS_XATTR } from '../values/xattr-names.ts'
import type { RamFile } from './memory-backends.ts'
import {
  isSameFile,
  ramFileOf,
  readDefinition,
  removeDefinition,
  type VmDefinition,
} from './vm-definition.ts'

const ClaimSchema = v.object({
  /** As of `VmDefinition`. */
  claim: v.string(),
  name: v.string(),
  /** With its record. */
  ramFile: v.string(),
  /** That `ramFile` is in. */
  pool: v.string(),
  /** Of the memory object: two files of one VM are not each other's. Left out by the first version. */
  id: v.optional(v.string()),
  isShared: v.optional(v.boolean()),
  /**
   * That it was written on: a copy of that file has the xattr as well (`cp -a`), and is no RAM of the VM's.
   * Left out by former versions.
   */
  file: v.optional(v.object({ pool: v.string(), inode: v.number() })),
})
export type Claim = v.InferOutput<typeof ClaimSchema>
const ClaimsSchema = v.array(ClaimSchema)

/** What each definition gets whose RAM is in more than one file. */
export const newClaim = (): string => randomUUID()

/** Those that still hold. Errors (UsageError): they cannot be read. */
export function claimsOn(path: string): Claim[] {
  return readClaims(path).filter((claim) => !isOver(claim, path))
}

/**
 * Puts the VM's claim on each of its RAM files but the first, beside those of other VMs: they stay as long as
 * the record that this one is for is not written. Errors (UsageError): a file is gone, or its pool is frozen
 * or full; some may have the claim then, which is over as long as no record names the file.
 */
export function claimRam(definition: VmDefinition): void {
  const { claim, name, ramFiles } = definition
  const [first, ...more] = ramFiles
  const ramFile = (first as RamFile).path
  if (claim === undefined || more.length === 0) return
  const pool = poolOver(ramFile)
  if (pool === undefined) throw new UsageError(`${ramFile} is in no mount of guestmemfs`)
  for (const { id, path, isShared } of more) {
    const others = readClaims(path).filter((each) => each.claim !== claim)
    const own = { claim, name, ramFile, pool, id, ...(isShared && { isShared }), file: fileAt(path) }
    writeClaims(path, [...others, own])
  }
}

/**
 * Removes the claims that are over, and those that `--replace` overruled, from the RAM files of a VM whose
 * record was written. Never throws: what stays is over, or holds only against others.
 */
export function pruneClaims({ claim, ramFiles }: VmDefinition, overruled: readonly Claim[]): void {
  const isOverruled = (each: Claim): boolean => overruled.some((other) => other.claim === each.claim)
  for (const { path } of ramFiles) {
    try {
      const all = readClaims(path)
      const kept = all.filter((each) => each.claim === claim || !(isOverruled(each) || isOver(each, path)))
      if (kept.length < all.length) writeClaims(path, kept)
    } catch {
      // Its pool is frozen, or not mounted.
    }
  }
}

/**
 * Takes the VM's claim off `files`, which no record of it names any more. Never throws: a claim that stays is
 * over where that record can be read.
 */
export function releaseRam({ claim }: Pick<VmDefinition, 'claim'>, files: readonly RamFile[]): void {
  if (claim === undefined) return
  for (const { path } of files) {
    try {
      const all = readClaims(path)
      const others = all.filter((each) => each.claim !== claim)
      if (others.length < all.length) writeClaims(path, others)
    } catch {
      // Its pool is frozen, or not mounted.
    }
  }
}

/** Removes the record of a VM, and then its claims. Never throws. */
export function endRecord(definition: VmDefinition): void {
  removeDefinition(ramFileOf(definition))
  releaseRam(definition, definition.ramFiles.slice(1))
}

/** One line for each RAM file that is another one than the VM was recorded with. Errors: UsageError. */
export function exchangedRam({ claim, name, ramFiles }: VmDefinition): string[] {
  if (claim === undefined) return []
  return ramFiles.slice(1).flatMap(({ id, path }) => {
    if (readClaims(path).some((each) => each.claim === claim && (each.id ?? id) === id)) return []
    return [`${path} is not the RAM file that VM ${name} had: mount the pool that it was in`]
  })
}

/**
 * Whether the file with the record that a claim names is there, and its record does not name this one, as
 * after the end of the VM or of an update. A record that cannot be read, or whose file is gone or has another
 * name, may name it.
 */
function isOver({ claim, ramFile, pool }: Claim, path: string): boolean {
  if (poolOver(ramFile) !== pool || statBeneath(ramFile) === undefined) return false
  let definition: VmDefinition | undefined
  try {
    definition = readDefinition(ramFile)
  } catch {
    return false
  }
  if (definition?.claim !== claim) return true
  const { ramFiles, underUpdate } = definition
  const files = [...ramFiles, ...(underUpdate?.ramFiles ?? [])].filter((file) => file.path !== ramFile)
  if (files.some((file) => isSameFile(file.path, path))) return false
  // A file of the VM that is gone, or another one by its name, may be this one: it was renamed.
  return files.every((file) => hasClaim(file.path, claim))
}

function hasClaim(path: string, claim: string): boolean {
  try {
    return readClaims(path).some((each) => each.claim === claim)
  } catch {
    return false
  }
}

/** The pool that is mounted over `path`. */
function poolOver(path: string): string | undefined {
  const base = mountOver(path)
  return base instanceof Errno ? undefined : mountTable().find(({ id }) => id === base.mountId)?.source
}

/** undefined: it is gone, or in no pool. */
function fileAt(path: string): Claim['file'] {
  const [pool, inode] = [poolOver(path), statBeneath(path)?.ino]
  return pool === undefined || inode === undefined ? undefined : { pool, inode }
}

/** Those that were written on this very file. Errors (UsageError): they cannot be read. */
function readClaims(path: string): Claim[] {
  const claims = storedClaims(path)
  if (claims.length === 0) return claims
  const own = fileAt(path)
  return claims.filter(
    ({ file }) => file === undefined || (file.pool === own?.pool && file.inode === own.inode),
  )
}

function storedClaims(path: string): Claim[] {
  const value = withPlace(path, (place) => lgetxattr(place.path, RAM_CLAIMS_XATTR))
  if (value === ENODATA || value === ENOENT || value === EOPNOTSUPP) return []
  if (value instanceof Errno)
    throw new UsageError(`whose RAM ${path} is cannot be read: ${pathProblem(value)}`)
  try {
    return v.parse(ClaimsSchema, JSON.parse(Buffer.from(value).toString('utf8')))
  } catch (cause) {
    throw new UsageError(
      `${path} has claims that this version cannot read, which name the VM whose RAM it is: remove them with 'setfattr -h -x ${RAM_CLAIMS_XATTR} ${path}'`,
      { cause },
    )
  }
}

function writeClaims(path: string, claims: readonly Claim[]): void {
  const value = Buffer.from(JSON.stringify(claims))
  const failed = withPlace(path, (place) =>
    claims.length === 0
      ? lremovexattr(place.path, RAM_CLAIMS_XATTR)
      : lsetxattr(place.path, RAM_CLAIMS_XATTR, value),
  )
  if (failed instanceof Errno)
    throw new UsageError(`whose RAM ${path} is could not be written on it: ${pathProblem(failed)}`)
}

/** The claims of other VMs on `files`; a file that both share is none of these. Errors: UsageError. */
export function otherClaims(
  definition: VmDefinition,
  files: readonly RamFile[] = definition.ramFiles,
): { readonly path: string; readonly claim: Claim }[] {
  return files.flatMap(({ path, isShared }) =>
    claimsOn(path)
      .filter((each) => each.claim !== definition.claim)
      .filter((each) => !(isShared && each.isShared))
      .map((claim) => ({ path, claim })),
  )
}

/** The name of another VM whose RAM the file is. Errors (UsageError): it is not known. */
export function otherOwner(definition: VmDefinition, file: RamFile): string | undefined {
  const there = readDefinition(file.path)
  if (there !== undefined && ramFileOf(there) !== ramFileOf(definition)) return there.name
  return otherClaims(definition, [file])[0]?.claim.name
}
