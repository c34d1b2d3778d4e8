/**
 * What must be done before libvirt's daemon starts: pools that a kernel update has frozen are thawed, since
 * the daemon changes the owner of its folder in there, and folders of domains of the former kernel are
 * removed.
 * Must not: start a guest, or touch anything while a domain runs.
 */
import { join } from 'node:path'
import { hasActiveDomain, memoryBackingDir } from '../../libvirt/active-domains.ts'
import { namesIn, removeFolder } from '../../libvirt/saved-ram.ts'
import { bootId } from '../../linux/boot-id.ts'
import { type PoolMount, poolMounts } from '../../pool/pool-view.ts'
import { isInside } from '../../qemu/memory-backends.ts'
import { lockUpdates } from '../../run/update-lock.ts'
import { errorText, UsageError } from '../../values/errors.ts'
import { RAM_FOLDERS } from '../../values/libvirt-paths.ts'
import { thawAfterUpdate } from '../kernel/resume-pool.ts'
import { readUpdateRecord } from '../kernel/update-record.ts'

/** As libvirt names the folder of a domain that runs. */
const DOMAIN_FOLDER = /^\d+-/

/** Returns one line for each thing that could not be done. Never throws: the daemon starts in any case. */
export function prepareForLibvirt(): string[] {
  const problems: string[] = []
  const attempt = (step: () => void): void => {
    try {
      step()
    } catch (error) {
      problems.push(errorText(error))
    }
  }
  const mounts = poolMounts()
  for (const mount of mounts) attempt(() => thawForLibvirt(mount))
  // The daemon is started again beside domains that run: their folders are those of a former start of it.
  if (hasActiveDomain()) return problems
  const memory = memoryBackingDir()
  if (memory === undefined || !mounts.some(({ mountPoint }) => isInside(memory, mountPoint))) return problems
  attempt(() => removeFormer(join(memory, RAM_FOLDERS), problems))
  return problems
}

/** Tests have others. */
export interface ThawTools {
  /** Of the kernel that has left an update's record there. */
  readonly bootIdOf: (mountPoint: string) => string | undefined
  readonly lock: typeof lockUpdates
  readonly thaw: typeof thawAfterUpdate
}

const HERE: ThawTools = {
  bootIdOf: (mountPoint) => readUpdateRecord(mountPoint)?.bootId,
  lock: lockUpdates,
  thaw: thawAfterUpdate,
}

/**
 * Thaws a pool that the former kernel has left frozen, or an update of this one that was killed. While an
 * update of this kernel is under way the pool stays frozen, and its memory preserved, until the jump or the
 * rollback: the daemon may be started again in that very moment. Errors (UsageError): it stays so.
 */
export function thawForLibvirt(mount: PoolMount, { bootIdOf, lock, thaw }: ThawTools = HERE): void {
  const itsBoot = bootIdOf(mount.mountPoint)
  if (itsBoot === undefined) return
  // In the next kernel a resumption may have the lock, and waits for libvirt.
  if (itsBoot !== bootId()) {
    thaw(mount)
    return
  }
  let unlock: () => void
  try {
    unlock = lock()
  } catch (error) {
    const advice = `where libvirt's daemon then has no QEMU driver, 'systemctl restart libvirtd' afterwards`
    throw new UsageError(`${mount.mountPoint} is not thawed: ${errorText(error)}; ${advice}`)
  }
  try {
    thaw(mount)
  } finally {
    unlock()
  }
}

/**
 * Of guests that ended with the former kernel. RAM of one that is saved has a second name, and stays. Errors:
 * UsageError.
 */
function removeFormer(folder: string, problems: string[]): void {
  for (const name of namesIn(folder)) {
    if (!DOMAIN_FOLDER.test(name)) continue
    const failed = removeFolder(join(folder, name))
    if (failed !== undefined) problems.push(`${join(folder, name)} of a former guest is left (${failed})`)
  }
}
