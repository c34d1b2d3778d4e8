/**
 * What root must trust before this program starts another user's QEMU as root, to open /dev/mem: its command
 * line, which names files that QEMU opens as root until it becomes that user; its program; its environment.
 */
import { realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { mountOver } from '../linux/beneath.ts'
import { getxattr } from '../linux/xattr.ts'
import { Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import { POOL_XATTR } from '../values/xattr-names.ts'
import { isRootOnly } from './root-only-path.ts'
import type { VmDefinition } from './vm-definition.ts'

export interface DevmemGuest {
  /** Of QEMU. */
  readonly uid: number
  /** Kind of store of the pool that its RAM is in. */
  readonly store: string | undefined
  /** `--trust-devmem` was given. */
  readonly isTrusted: boolean
  /** `--env`, as typed. */
  readonly extraEnvironment: readonly string[]
}

/** Errors (UsageError): QEMU would be started as root with what another user may have chosen. */
export function checkDevmemTrust({ uid, store, isTrusted, extraEnvironment }: DevmemGuest): void {
  if (store !== 'devmem' || uid === 0) return
  if (!isTrusted)
    throw new UsageError(
      "only root opens /dev/mem: this QEMU would open its disks, sockets and scripts as root before it becomes its user, and could map every guest's RAM in the pool: give --trust-devmem if that user may do all of it, or take --user root, or a pool with store=dax",
    )
  if (extraEnvironment.length > 0)
    throw new UsageError(
      '--env is not for a QEMU that is started as root to open /dev/mem: its variables could name libraries to load',
    )
}

/** Undefined: the mount has no such xattr, or it names no store. */
export function storeOf(mountPoint: string): string | undefined {
  const pool = getxattr(mountPoint, POOL_XATTR)
  if (pool instanceof Errno) return undefined
  const { store } = JSON.parse(Buffer.from(pool).toString('utf8')) as { store?: unknown }
  return typeof store === 'string' ? store : undefined
}

export const isInDevmem = ({ ramFiles }: Pick<VmDefinition, 'ramFiles'>): boolean =>
  ramFiles.some(({ path }) => {
    const mount = mountOver(path)
    return !(mount instanceof Errno) && storeOf(mount.path) === 'devmem'
  })

/**
 * The program that `path` resolves to, which is the one to start. Errors (UsageError): users other than root
 * can change it, or a folder of its path.
 */
export function trustedProgram(path: string): string {
  const program = realpathSync(path)
  for (let at = program; ; at = dirname(at)) {
    if (!isRootOnly(statSync(at)))
      throw new UsageError(
        `${path} would be started as root, to open /dev/mem, and others than root can change ${at}: use a QEMU that only root can change`,
      )
    if (at === '/') return program
  }
}
