/**
 * What must be done before libvirt's daemon starts: pools that a kernel update has frozen are thawed, since
 * the daemon changes the owner of its folder in there, and folders of domains of the former kernel are
 * removed.
 * Must not: start a guest, or touch anything while a domain runs.
 */
import { join } from 'node:path'
import { hasActiveDomain, memoryBackingDir } from '../../libvirt/active-domains.ts'
import { namesIn, removeFolder } from '../../libvirt/saved-ram.ts'
import { poolMounts } from '../../pool/pool-view.ts'
import { isInside } from '../../qemu/memory-backends.ts'
import { errorText } from '../../values/errors.ts'
import { RAM_FOLDERS } from '../../values/libvirt-paths.ts'
import { thawAfterUpdate } from '../kernel/resume-pool.ts'

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
  for (const mount of mounts) attempt(() => thawAfterUpdate(mount))
  // The daemon is started again beside domains that run: their folders are those of a former start of it.
  if (hasActiveDomain()) return problems
  const memory = memoryBackingDir()
  if (memory === undefined || !mounts.some(({ mountPoint }) => isInside(memory, mountPoint))) return problems
  attempt(() => removeFormer(join(memory, RAM_FOLDERS), problems))
  return problems
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
