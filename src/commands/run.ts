/** `guestmemfs run`: record a QEMU command line as a VM, and become that VM's QEMU. */
import type { CommandModule } from '../cli/command.ts'
import { collect } from '../cli/options.ts'
import { complain } from '../cli/print.ts'
import { namedMount, vmMounts } from '../liveupdate/vm-mounts.ts'
import { recordVm, removeUnstartedRecord } from '../qemu/record-vm.ts'
import { becomeQemu } from '../qemu/start/become-qemu.ts'
import { startInBackground } from '../qemu/start/start-process.ts'
import { recordVmm } from '../qemu/vmm/record-vmm.ts'
import { settleEnds } from '../qemu/watch/watcher-client.ts'
import { UsageError } from '../values/errors.ts'

interface Options {
  readonly name?: string
  readonly user?: string
  readonly pool: readonly string[]
  readonly order: string
  readonly env: readonly string[]
  readonly before: readonly string[]
  readonly after: readonly string[]
  readonly suspend?: true
  readonly trustDevmem?: true
  readonly replace?: true
  readonly ram: readonly string[]
  readonly save?: string
  readonly cancel?: string
  readonly start?: string
}

export const command: CommandModule = {
  name: 'run',
  group: 'Guests',
  summary: 'start QEMU as a VM that can be live-updated',
  description: `
    Records the QEMU command line after '--' on the RAM file that it names, and becomes that QEMU: pid,
    terminal, unit and exit status are QEMU's own. The guest's RAM must be a memory-backend-file with
    share=on in a mount of guestmemfs. By the record root, and no other user, can start the guest again,
    in a live update and by 'guestmemfs resume'. A guest that ends by itself is taken off the record.

    With -daemonize among the words of QEMU it returns when that QEMU answers.

    Another VMM is run with --ram, --save, --cancel and --start, which stand in the place of QMP:
    docs/reference/contract.md says what it and they must do.`,
  exitStatus: {
    0: 'with -daemonize: QEMU runs',
    1: 'QEMU was not started; one line says why',
    other:
      "QEMU's own, whose process this is by then; 0 when an update has moved the guest into another QEMU",
  },
  examples: [
    {
      about: 'a guest with 500 MiB of RAM in a pool',
      typed: `guestmemfs run --name web -- qemu-system-x86_64 -machine q35,memory-backend=pc.ram -m 500M \\
    -object memory-backend-file,id=pc.ram,size=500M,mem-path=/mnt/guestmemfs/guest-ram,share=on`,
    },
  ],
  seeAlso: [
    'guestmemfs-vms(8)',
    'guestmemfs-live-update(8)',
    'docs/internals/guest-processes.md',
    'docs/reference/contract.md',
  ],
  changes: true,
  mayNotReturn: true,
  lendsStreams: true,
  register: (command) =>
    command
      .argument('<qemu...>', "after '--': qemu-system-x86_64 and its options, as ever; or another VMM")
      .option('--name <name>', "the VM's name; default: from -name, or its RAM file's name")
      .option('--user <user>', 'run QEMU as this user; default: who called sudo')
      .option(
        '--pool <pool>',
        'look for its RAM in this pool only: a name or a mount point; may be given several times',
        collect,
        [],
      )
      .option('--order <n>', 'in an update, the save and the start of a lower one begin first', '0')
      .option('--env <name[=value]>', 'record one more environment variable', collect, [])
      .option(
        '--before <command>',
        'run this before each QEMU, as its user; may be given several times',
        collect,
        [],
      )
      .option('--after <command>', 'run this after the end of each QEMU', collect, [])
      .option(
        '--suspend',
        'its agent suspends it before each update, as by default where it has a VFIO device',
      )
      .option('--trust-devmem', 'with store=devmem: this user may have QEMU open anything as root')
      .option('--replace', 'take the place of a VM that is recorded on the same RAM and does not run')
      .option('--ram <file>', 'of another VMM: a file of its RAM; may be given several times', collect, [])
      .option('--save <command>', 'of another VMM: stops the guest, writes its state to $GUESTMEMFS_STATE')
      .option('--cancel <command>', 'of another VMM: has a guest go on that --save stopped')
      .option('--start <command>', 'of another VMM: becomes a program that goes on from that state')
      .action(async (argv: string[], options: Options) => {
        process.exitCode = await run(argv, options)
      }),
}

async function run(argv: string[], options: Options): Promise<number> {
  if (!/^-?\d{1,9}$/.test(options.order))
    throw new UsageError(`--order '${options.order}' is not a whole number`)
  await settleEnds()
  const all = vmMounts(undefined)
  const isNamed = options.pool.length > 0
  if (!isNamed) for (const problem of all.problems) complain(problem)
  const mounts = isNamed ? options.pool.map(namedMount) : all.mounts
  const request = {
    argv,
    cwd: process.cwd(),
    environment: process.env,
    mountPoints: mounts.map(({ mountPoint }) => mountPoint),
    recordedFiles: () => vmMounts(undefined).mounts.flatMap(({ recorded }) => recorded),
    name: options.name,
    user: options.user,
    order: Number(options.order),
    extraEnvironment: options.env,
    before: options.before,
    after: options.after,
    replace: options.replace === true,
  }
  const vmm = vmmOf(options)
  const vm = await (vmm === undefined
    ? recordVm({
        ...request,
        suspends: options.suspend === true,
        trustsDevmem: options.trustDevmem === true,
      })
    : recordVmm({ ...request, ...vmm }))
  for (const note of vm.notes) complain(note)
  try {
    if (!vm.daemonize) return await becomeQemu(vm.ramFile)
    await startInBackground(vm.definition)
    return 0
  } catch (error) {
    removeUnstartedRecord(vm)
    throw error
  }
}

/** undefined: it is a QEMU. Errors (UsageError): some of another VMM's options are missing. */
function vmmOf({ ram, save, cancel, start, suspend }: Options) {
  if (ram.length === 0 && [save, cancel, start].every((command) => command === undefined)) return undefined
  if (suspend) throw new UsageError('--suspend is for QEMU: another VMM suspends its guest by its --save')
  if (ram.length === 0 || save === undefined || cancel === undefined || start === undefined)
    throw new UsageError('another VMM needs all of --ram, --save, --cancel and --start')
  return { ram, vmm: { save, cancel, start } }
}
