/**
 * Checks that pools survive a shutdown by systemd: memory to hand over belongs to a process until the jump,
 * and systemd may kill that process first. Pure.
 */

import { type Finding, fail } from '../../values/finding.ts'
import type { KexecMethod } from './check-host.ts'
import type { PoolFacts } from './pool-facts.ts'

/**
 * `systemctl kexec` stops and kills every process that is not exempt, and memory that no process holds is not
 * handed over.
 */
export function checkShutdown(via: KexecMethod, pools: readonly PoolFacts[]): Finding[] {
  if (via !== 'systemctl') return []
  return pools
    .filter(({ by, outlivesShutdown }) => by === 'luo' && !outlivesShutdown)
    .map(({ pool }) =>
      fail(
        `pool ${pool}`,
        `pool '${pool}' would be killed by systemd, and its memory with it: take --via kexec, or, with systemd 255 or newer, 'guestmemfs install' and 'systemctl restart guestmemfs@${pool}' (unmount and mount it first where that is no running unit)`,
      ),
    )
}
