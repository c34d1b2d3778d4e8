/** The plan of a kernel update and its preflight findings, as a person reads them. */
import { isRefused, type PreflightFinding } from '../liveupdate/finding.ts'
import type { KernelPlan } from '../liveupdate/kernel-plan.ts'
import type { WayOver } from '../liveupdate/pool-check.ts'
import { formatSize } from '../values/size.ts'
import { print, printTable } from './print.ts'

/** How a pool's memory survives the kexec. */
const WAYS: Readonly<Record<WayOver, string>> = {
  'carve-out': 'it stays where it is, in a carve-out',
  luo: "handed over by this kernel's live update orchestrator",
}

/** Refusals go to standard error, one line each; the plan is what a dry run is asked for. */
export function printPlan(plan: KernelPlan, findings: readonly PreflightFinding[], asked: boolean): void {
  if (asked) {
    printTable(
      ['PLAN', ''],
      [
        ['kernel', `${plan.before} → ${plan.next ?? '?'} (${plan.kernel})`],
        ['initrd', plan.initrd ?? '-'],
        ['command line', plan.commandLine],
        ['by', plan.via],
        ...plan.pools.map(({ pool, mountPoint, store, by }) => [
          'pool',
          `${pool} on ${mountPoint} (store=${store}): ${WAYS[by]}`,
        ]),
        ...plan.vms.map(({ name, ramBytes }) => ['guest', `${name}, ${formatSize(ramBytes)}`]),
      ],
    )
  }
  for (const { severity, message } of findings)
    process.stderr.write(`guestmemfs: ${severity === 'warn' ? 'warning: ' : ''}${message}\n`)
  if (isRefused(findings)) process.stderr.write('guestmemfs: nothing was changed, every guest runs on\n')
  else print('ready: nothing speaks against it')
}
