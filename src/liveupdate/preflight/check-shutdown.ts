/**
 * What speaks against a shutdown by systemd: memory that is handed over belongs to a process until the jump,
 * and systemd kills that process first. Pure.
 */

import { type Finding, fail } from '../../values/finding.ts'
import type { KexecMethod } from './check-host.ts'
import type { PoolFacts } from './pool-facts.ts'

/**
 * `systemctl kexec` stops and kills whatever it was not told to spare, and hands over what is left: nothing.
 */
export function checkShutdown(via: KexecMethod, pools: readonly PoolFacts[]): Finding[] {
  if (via !== 'systemctl') return []
  return pools
    .filter(({ by, outlivesShutdown }) => by === 'luo' && !outlivesShutdown)
    .map(({ pool }) =>
      fail(
        `pool ${pool}`,
        `pool '${pool}' would be killed on the way down, and its memory with it: take --via kexec, or, with systemd 255 or newer, 'guestmemfs install' and 'systemctl restart guestmemfs@${pool}' (unmount and mount it first where that is no running unit)`,
      ),
    )
}
