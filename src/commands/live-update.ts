/**
 * `guestmemfs live-update`: a new kernel for all guests, or a new QEMU for some, with progress and reports.
 */
import type { CommandModule } from '../cli/command.ts'
import { findingOutput } from '../cli/json/finding-output.ts'
import type { Outputs } from '../cli/json/outputs.ts'
import { planOutput } from '../cli/json/update-output.ts'
import { collect, DEFAULT_TIMEOUT, timeoutOption } from '../cli/options.ts'
import { poolArgument } from '../cli/pool-argument.ts'
import { complain, print, printJson } from '../cli/print.ts'
import { printPlan } from '../cli/print-plan.ts'
import { printRehearsal } from '../cli/print-rehearsal.ts'
import { qemuOption } from '../cli/qemu-option.ts'
import { showResumption } from '../cli/show-resumption.ts'
import { type Collected, collected, updateView } from '../cli/show-update.ts'
import { abortUpdates } from '../liveupdate/abort.ts'
import { rollbackReports, updateKernel } from '../liveupdate/kernel/kernel-update.ts'
import { withKernelPlan } from '../liveupdate/kernel/with-kernel-plan.ts'
import { KEXEC_METHODS, type KexecMethod } from '../liveupdate/preflight/check-host.ts'
import { rehearseKernel } from '../liveupdate/rehearsal/rehearse-kernel.ts'
import { rehearseVmms } from '../liveupdate/rehearsal/rehearse-vmms.ts'
import { type HostUpdate, readUpdates } from '../liveupdate/report/host-updates.ts'
import { updateQemus } from '../liveupdate/vmm-only.ts'
import type { VmmUpdate } from '../liveupdate/vmm-plan.ts'
import { parseDuration } from '../values/duration.ts'
import { UsageError } from '../values/errors.ts'
import { hasError } from '../values/finding.ts'

interface KernelOptions {
  readonly kernel: string
  readonly initrd?: string
  readonly append?: string
  readonly reuseCmdline?: true
  readonly via: string
  readonly dryRun?: true
  readonly rehearse?: true
  readonly pool: string | undefined
  readonly leave: readonly string[]
  readonly patience: string
  readonly timeout: string
  readonly json?: true
}

interface Options extends Omit<KernelOptions, 'kernel'> {
  readonly vmmOnly?: true
  readonly allOrNone?: true
  readonly abort?: true
  readonly kernel?: string
  readonly qemu?: string
  readonly name: readonly string[]
}

export const command: CommandModule = {
  name: 'live-update',
  group: 'Live update',
  summary: 'replace the host kernel or QEMU under running guests',
  description: `
    With --kernel it saves the guests of all pools and starts the next kernel by kexec; it returns only
    where there was no update. Guest RAM stays where it is: in memory set aside at boot, or in memfds that
    this kernel hands to the next one. There, the mount and 'guestmemfs resume' start the guests again.
    All that would lose memory is refused before a guest is stopped; --dry-run shows the plan and what
    would be refused.

    With --rehearse it does all of an update that stops no guest, with --kernel or --vmm-only: it loads the
    next kernel and unloads it, tries each guest's next QEMU beside the one that runs, and prints what would
    become of each guest, with the blackout to expect from the reports of former updates of this host. It
    leaves nothing behind.

    With --vmm-only it replaces the QEMU of each guest of one pool. A guest that cannot be updated is
    named and left as it is, and the others are updated all the same.

    With --abort alone it stops the update that is under way, or undoes one that was killed.`,
  exitStatus: {
    0: 'all guests were updated; with --dry-run or --rehearse: all would be; with --abort: the guests run',
    1: 'it was refused, or a guest was not updated; an update of the kernel was undone, its guests run on',
    '128+N': 'signal N stopped it between two steps; what it had begun was finished or undone',
  },
  examples: [
    {
      about: 'what an update of the kernel would do',
      typed: `guestmemfs live-update --kernel /boot/vmlinuz-NEW --initrd /boot/initrd.img-NEW \\
    --reuse-cmdline --dry-run`,
    },
    {
      about: 'the QEMU that is installed now, for all guests of the one pool',
      typed: 'guestmemfs live-update --vmm-only',
    },
    {
      about: 'what to show before the maintenance window',
      typed: `guestmemfs live-update --kernel /boot/vmlinuz-NEW --initrd /boot/initrd.img-NEW \\
    --reuse-cmdline --rehearse >rehearsal.txt`,
    },
    { about: 'end an update that hangs', typed: 'guestmemfs live-update --abort' },
  ],
  seeAlso: [
    'guestmemfs-resume(8)',
    'guestmemfs-report(8)',
    'docs/guide/live-update.md',
    'docs/reference/machine.md',
  ],
  changes: ({ dryRun, rehearse }) => dryRun !== true && rehearse !== true,
  mayNotReturn: true,
  register: (command) =>
    poolArgument(command, 'with --vmm-only the only one that is mounted, else all')
      .option('--kernel <file>', 'the next kernel of this machine')
      .option('--initrd <file>', 'its initrd')
      .option(
        '--append <text>',
        "its command line; with --reuse-cmdline, what is added to this kernel's; default: this kernel's",
      )
      .option('--reuse-cmdline', "this kernel's command line")
      .option('--via <way>', 'kexec: at once; systemctl: systemd stops services first', 'kexec')
      .option('--dry-run', 'with --kernel: print the plan and preflight errors, change nothing')
      .option('--rehearse', 'do all of it that stops no guest, print what would be, leave nothing behind')
      .option('--vmm-only', "each guest's QEMU alone, not the kernel")
      .option('--qemu <path>', 'with --vmm-only: the QEMU to start; default: what each VM was started with')
      .option('--name <vm>', 'with --vmm-only: this VM only; may be given several times', collect, [])
      .option('--abort', 'undo a live update that is under way, or that was killed, and continue its guests')
      .option('--all-or-none', 'with --vmm-only: update no VM where one cannot be updated')
      .option(
        '--leave <vm>',
        'with --kernel: save nothing of this VM, which ends; may be given several times',
        collect,
        [],
      )
      .option(
        '--patience <time>',
        'with --kernel: how long the other guests wait for a QEMU that hangs',
        '5s',
      )
      .option('--timeout <time>', 'for each step of each VM, as 200ms, 5s or 2m', DEFAULT_TIMEOUT)
      .option('--json', 'print JSON')
      .action(async (pool: string | undefined, options: Omit<Options, 'pool'>) => {
        process.exitCode = await liveUpdate({ ...options, pool })
      }),
}

async function liveUpdate(options: Options): Promise<number> {
  const { kernel, vmmOnly, qemu, name } = options
  const isAbortAlone = kernel === undefined && vmmOnly === undefined && options.rehearse === undefined
  if (options.abort && isAbortAlone) return await abort(options)
  if (options.abort) throw new UsageError('give --abort alone: it undoes whatever update is under way')
  if ((kernel === undefined) === (vmmOnly === undefined))
    throw new UsageError('give either --kernel FILE, for a new kernel, or --vmm-only, for a new QEMU')
  if (kernel === undefined && options.leave.length > 0)
    throw new UsageError('--leave is for --kernel: --vmm-only leaves what it cannot update')
  if (kernel === undefined && options.dryRun)
    throw new UsageError('--dry-run is for --kernel: nothing was changed')
  if (options.rehearse && options.dryRun)
    throw new UsageError('give either --rehearse or --dry-run: a rehearsal has the plan as well')
  if (kernel === undefined && options.rehearse)
    return printRehearsal(await rehearseVmms(vmmUpdate(options), formerUpdates()), options.json === true)
  const collects = collected(options.json)
  if (kernel === undefined) {
    const status = await updateQemus(vmmUpdate(options), updateView(collects))
    printCollected(collects)
    return status
  }
  if (qemu !== undefined || name.length > 0 || options.allOrNone)
    throw new UsageError(
      '--qemu, --name and --all-or-none are for --vmm-only: a new kernel is for all guests',
    )
  return await kernelUpdate({ ...options, kernel }, collects)
}

const formerUpdates = (): readonly HostUpdate[] => readUpdates(undefined).all

/** Returns the exit status of `resume`, which continues the guests. */
async function abort(options: Options): Promise<number> {
  const { stopped, isUnloaded } = await abortUpdates(options.pool, timeoutOption(options.timeout))
  if (!options.json) {
    if (stopped > 0) print('the live update was stopped')
    if (isUnloaded) print('a live update of the kernel was killed: its kernel is unloaded')
  }
  const collects = collected(options.json)
  const status = await showResumption({ named: options.pool, names: [] }, options, collects)
  printCollected(collects)
  return status
}

const vmmUpdate = ({ pool, name, qemu, timeout, allOrNone }: Options): VmmUpdate => ({
  named: pool,
  names: name,
  nextQemu: qemuOption(qemu),
  timeoutMs: timeoutOption(timeout),
  isAllOrNone: allOrNone === true,
})

/** `ofKernel`: of an update of the kernel. */
function printCollected(
  collects: Collected | undefined,
  ofKernel: Pick<Outputs['live-update'], 'ready' | 'plan'> = { ready: null, plan: null },
): void {
  if (collects === undefined) return
  const { findings, reports } = collects
  printJson<'live-update'>({
    ...ofKernel,
    rehearsal: null,
    findings: findings.map(findingOutput),
    reports,
  })
}

/** Returns only if there was no kexec. Errors: UsageError. */
async function kernelUpdate(options: KernelOptions, collects: Collected | undefined): Promise<number> {
  const timeoutMs = timeoutOption(options.timeout)
  const patienceMs = parseDuration(options.patience, '--patience')
  const choice = {
    kernel: options.kernel,
    initrd: options.initrd,
    commandLine: { append: options.append, reuses: options.reuseCmdline === true },
    via: viaOption(options.via),
    left: options.leave,
  }
  return await withKernelPlan(choice, options.pool, async (found) => {
    if (options.rehearse) {
      const { rehearsal, signalStatus } = await rehearseKernel(found, formerUpdates())
      const status = printRehearsal(rehearsal, options.json === true)
      return signalStatus ?? status
    }
    const { findings, next, ...preflight } = found
    const { plan } = preflight
    const isReady = !hasError(findings) && next !== undefined
    if (options.dryRun || !isReady) {
      collects?.findings.push(...findings)
      printCollected(collects, { ready: isReady, plan: planOutput(plan) })
      if (collects === undefined) printPlan(plan, findings, options.dryRun === true)
      return isReady ? 0 : 1
    }
    const view = updateView(collects)
    for (const finding of findings) view.warning(finding)
    const onProgress = (line: string) => (collects === undefined ? print(line) : undefined)
    const rolledBack = await updateKernel({ ...preflight, next, timeoutMs, patienceMs, onProgress })
    for (const report of rollbackReports(plan, rolledBack)) view.report(report)
    printCollected(collects, { ready: true, plan: planOutput(plan) })
    complain(`there was no update: ${rolledBack.reason}`)
    return rolledBack.signalStatus ?? 1
  })
}

function viaOption(text: string): KexecMethod {
  const via = KEXEC_METHODS.find((known) => known === text)
  if (via !== undefined) return via
  throw new UsageError(`--via '${text}' is not known: take ${KEXEC_METHODS.join(' or ')}`)
}
