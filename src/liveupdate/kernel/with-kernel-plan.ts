/** The plan of a kernel update of this host, made and used while other updates are locked out. */
import { activeDomains } from '../../libvirt/active-domains.ts'
import { recordRunningUpdate } from '../../run/running-updates.ts'
import { lockUpdates } from '../../run/update-lock.ts'
import { readHostFacts } from '../preflight/host-facts.ts'
import { parkedPools, poolFacts } from '../preflight/pool-facts.ts'
import { type KernelChoice, type Preflight, planKernelUpdate } from './kernel-plan.ts'

/**
 * `named`: as of `poolFacts`. Returns what `use` returns; the files of the next kernel are closed then.
 * Errors: UsageError, and those of `use`.
 */
export async function withKernelPlan<T>(
  choice: KernelChoice,
  named: string | undefined,
  use: (preflight: Preflight) => Promise<T>,
): Promise<T> {
  const unlock = lockUpdates()
  const ended = recordRunningUpdate()
  let next: Preflight['next']
  try {
    const [host, pools, parked, domains] = [readHostFacts(), poolFacts(named), parkedPools(), activeDomains()]
    const preflight = await planKernelUpdate(choice, host, pools, parked, await domains)
    next = preflight.next
    return await use(preflight)
  } finally {
    next?.close()
    ended()
    unlock()
  }
}
