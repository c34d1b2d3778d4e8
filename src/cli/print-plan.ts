/** The plan of a kernel update and its preflight findings, as text. */
import type { KernelPlan } from '../liveupdate/kernel/kernel-plan.ts'
import type { SurvivesBy } from '../liveupdate/preflight/pool-facts.ts'
import { type Finding, hasError } from '../values/finding.ts'
import { formatSize } from '../values/size.ts'
import { complain, print, printTable } from './print.ts'

/** How a pool's memory survives the kexec. */
const SURVIVES: Readonly<Record<SurvivesBy, string>> = {
  'carve-out': 'it stays where it is, in a carve-out',
  luo: "handed over by this kernel's live update orchestrator",
}

/** Refusals go to standard error, one line each; the plan is the result of a dry run. */
export function printPlan(plan: KernelPlan, findings: readonly Finding[], asked: boolean): void {
  if (asked) {
    printTable(PLAN_HEADER, [
      ...planRows(plan),
      ...plan.vms.map(({ name, ramBytes }) => ['guest', `${name}, ${formatSize(ramBytes)}`]),
    ])
  }
  for (const { severity, message } of findings)
    complain(`${severity === 'warn' ? 'warning: ' : ''}${message}`)
  if (hasError(findings)) complain('nothing was changed, every guest runs on')
  else print('ready: the preflight passed')
}

export const PLAN_HEADER = ['PLAN', '']

/** Without its guests. */
export const planRows = (plan: KernelPlan): string[][] => [
  ['kernel', `${plan.before} → ${plan.next ?? '?'} (${plan.kernel})`],
  ['initrd', plan.initrd ?? '-'],
  ['command line', plan.commandLine],
  ['by', plan.via],
  ...plan.pools.map(({ pool, mountPoint, store, by }) => [
    'pool',
    `${pool} on ${mountPoint} (store=${store}): ${SURVIVES[by]}`,
  ]),
]
