/** Owns `guestmemfs live-update`: which VMs, and how the update is shown while it runs. */
import type { Command } from 'commander'
import { collect, showProgress, timeoutOption } from '../cli/progress.ts'
import { isSuccess, keepReport } from '../liveupdate/report/update-report.ts'
import { vmsOfMount } from '../liveupdate/vm-mounts.ts'
import { chooseVms, updateVmms } from '../liveupdate/vmm-only.ts'
import { findBinary } from '../qemu/binary.ts'
import { UsageError } from '../values/errors.ts'
import { type KernelOptions, kernelUpdate } from './kernel-update.ts'
import { printReport } from './report.ts'

interface Options extends Omit<KernelOptions, 'kernel'> {
  readonly vmmOnly?: true
  readonly kernel?: string
  readonly qemu?: string
  readonly name: readonly string[]
}

export function registerLiveUpdate(program: Command): void {
  program
    .command('live-update')
    .description('replace what runs underneath the guests of a mount; their memory stays where it is')
    .option('--kernel <file>', 'the next kernel of this machine')
    .option('--initrd <file>', 'its initrd')
    .option(
      '--append <text>',
      "its command line; with --reuse-cmdline, what is added to this kernel's; default: this kernel's",
    )
    .option('--reuse-cmdline', "this kernel's command line")
    .option('--via <way>', 'kexec: at once; systemctl: services are stopped first', 'kexec')
    .option('--dry-run', 'show the plan and what speaks against it, and change nothing')
    .option('--vmm-only', "each guest's QEMU alone, not the kernel")
    .option('--mount <dir>', 'the guests of this mount point or pool')
    .option('--qemu <path>', 'with --vmm-only: the QEMU to start; default: what each VM was started with')
    .option('--name <name>', 'with --vmm-only: this VM only; may be given several times', collect, [])
    .option('--timeout-ms <n>', 'for each step of each VM', '60000')
    .option('--json', 'print the report as JSON, times in microseconds')
    .action(async (options: Options) => {
      process.exitCode = await liveUpdate(options)
    })
}

async function liveUpdate(options: Options): Promise<number> {
  const { kernel, vmmOnly, qemu, name } = options
  if ((kernel === undefined) === (vmmOnly === undefined))
    throw new UsageError('say either --kernel FILE, for a new kernel, or --vmm-only, for a new QEMU')
  if (kernel === undefined) return await vmmUpdate(options)
  if (qemu !== undefined || name.length > 0)
    throw new UsageError('--qemu and --name are for --vmm-only: a new kernel is for all guests')
  return await kernelUpdate({ ...options, kernel })
}

async function vmmUpdate(options: Options): Promise<number> {
  const { mountPoint, vms, problems } = vmsOfMount(options.mount)
  for (const problem of problems) process.stderr.write(`guestmemfs: ${problem}\n`)
  const chosen = chooseVms(vms, options.name)
  const nextQemu = options.qemu && findBinary(options.qemu, process.cwd(), process.env.PATH ?? '')
  const progress = showProgress(
    chosen.map(({ definition }) => definition.name),
    options.json === true,
  )
  const update = updateVmms({
    mountPoint,
    vms: chosen,
    nextQemu,
    timeoutMs: timeoutOption(options.timeoutMs),
    onPhase: progress.onPhase,
    onDone: progress.onDone,
  })
  const report = await progress.until(update)
  keepReport(report)
  printReport(report, options.json === true)
  return isSuccess(report) && problems.length === 0 ? 0 : 1
}
