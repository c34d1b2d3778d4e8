/** Owns `guestmemfs live-update --kernel`: the plan and what speaks against it, then the way to the jump as a person sees it. */

import { print, printJson, printTable } from '../cli/print.ts'
import { timeoutOption } from '../cli/progress.ts'
import { type KernelPlan, planKernelUpdate } from '../liveupdate/kernel/kernel-plan.ts'
import { type RolledBack, updateKernel } from '../liveupdate/kernel/kernel-update.ts'
import { type KexecMethod, readHostFacts } from '../liveupdate/preflight/check-host.ts'
import type { SurvivesBy } from '../liveupdate/preflight/check-pools.ts'
import { isRefused, type PreflightFinding } from '../liveupdate/preflight/finding.ts'
import { parkedPools, poolFacts } from '../liveupdate/preflight/pool-facts.ts'
import { keepReport, type UpdateReport } from '../liveupdate/report/update-report.ts'
import { lockUpdates } from '../run/update-lock.ts'
import { UsageError } from '../values/errors.ts'
import { formatSize } from '../values/size.ts'
import { printReport } from './report.ts'

export interface KernelOptions {
  readonly kernel: string
  readonly initrd?: string
  readonly append?: string
  readonly reuseCmdline?: true
  readonly via: string
  readonly dryRun?: true
  readonly mount?: string
  readonly timeoutMs: string
  readonly json?: true
}

/** Returns only if there was no jump. Errors: UsageError. */
export async function kernelUpdate(options: KernelOptions): Promise<number> {
  const asJson = options.json === true
  const timeoutMs = timeoutOption(options.timeoutMs)
  const unlock = lockUpdates()
  try {
    const { plan, findings, vms } = await planKernelUpdate(
      {
        kernel: options.kernel,
        initrd: options.initrd,
        commandLine: { append: options.append, reuses: options.reuseCmdline === true },
        via: viaOption(options.via),
      },
      readHostFacts(),
      poolFacts(options.mount),
      parkedPools(),
    )
    const isReady = !isRefused(findings)
    if (options.dryRun || !isReady) {
      if (asJson) printJson({ ready: isReady, plan, findings })
      else printPlan(plan, findings, options.dryRun === true)
      return isReady ? 0 : 1
    }
    for (const { message } of findings) process.stderr.write(`guestmemfs: warning: ${message}\n`)
    const say = (line: string) => (asJson ? undefined : print(line))
    const rolledBack = await updateKernel({ plan, vms, timeoutMs, say })
    tell(plan, rolledBack, asJson)
    return 1
  } finally {
    unlock()
  }
}

function viaOption(text: string): KexecMethod {
  if (text === 'kexec' || text === 'systemctl') return text
  throw new UsageError(`--via '${text}' is not known: take kexec or systemctl`)
}

/** How memory gets over, and why so. */
const WAYS: Readonly<Record<SurvivesBy, string>> = {
  'carve-out': 'it stays where it is, in a carve-out',
  luo: "handed over by this kernel's live update orchestrator",
}

/** Refusals go to standard error, one line each; the plan is what a dry run is asked for. */
function printPlan(plan: KernelPlan, findings: readonly PreflightFinding[], asked: boolean): void {
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

/** What the guests went through on the way back, by mount, as any other update tells it. */
function tell(plan: KernelPlan, { reason, startedAtMs, vms }: RolledBack, asJson: boolean): void {
  for (const { mountPoint } of plan.pools) {
    const names = plan.vms.filter((vm) => vm.mountPoint === mountPoint).map(({ name }) => name)
    const report: UpdateReport = {
      format: 1,
      kind: 'kernel',
      mountPoint,
      startedAtMs: Math.round(startedAtMs),
      durationUs: Math.round((Date.now() - startedAtMs) * 1000),
      kernel: {
        before: plan.before,
        after: null,
        wanted: plan.next ?? '',
        via: plan.via,
        clockUncertaintyUs: 0,
      },
      vms: vms.filter(({ name }) => names.includes(name)),
    }
    keepReport(report)
    printReport(report, asJson)
  }
  process.stderr.write(`guestmemfs: there was no update: ${reason}\n`)
}
