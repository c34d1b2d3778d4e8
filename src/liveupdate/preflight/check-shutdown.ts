/**
 * Owns what must live through the way down, where the service manager leads it: memory that is handed over is a process's until the
 * jump. Pure.
 */

import type { KexecMethod } from './check-host.ts'
import type { PoolFacts } from './check-pools.ts'
import { type PreflightFinding, refuse } from './finding.ts'

/** `systemctl kexec` stops and kills whatever it was not told to spare, and hands over what is left: nothing. */
export function checkShutdown(via: KexecMethod, pools: readonly PoolFacts[]): PreflightFinding[] {
  if (via !== 'systemctl') return []
  return pools
    .filter(({ by, outlivesShutdown }) => by === 'luo' && !outlivesShutdown)
    .map(({ pool }) =>
      refuse(
        `pool '${pool}' would be killed on the way down, and its memory with it: take --via kexec, or, with systemd 255 or newer, 'guestmemfs install' and 'systemctl restart guestmemfs@${pool}' (unmount and mount it first where that is no running unit)`,
      ),
    )
}
