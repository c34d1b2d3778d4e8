/**
 * One row of the matrix as a scenario: a guest in a pool of the row's store, the host's QEMU upgraded where the row says so, and
 * one live update of the kernel under it; or its refusal, with the guest never paused.
 */
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { UPGRADE_QEMU } from '../image/root.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT, RESERVED } from '../scenarios/carve-out.ts'
import { LUO_WORDS } from '../scenarios/luo.ts'
import type { Row, StoreName } from './rows.ts'

const PATIENCE_MS = 240_000
const MEBIBYTES = 256

const STORES: Readonly<Record<StoreName, { readonly append: string; readonly options: string }>> = {
  dax: { append: CARVE_OUT, options: 'store=dax' },
  devmem: { append: RESERVED, options: 'store=devmem' },
  memfd: { append: LUO_WORDS, options: 'size=1G' },
}

/** Versions as the host has them, and how long the guest stood still by its clocks. */
export interface RowResult {
  readonly kernels: readonly [string, string]
  readonly qemus: readonly [string, string]
  readonly blackoutMs: number | undefined
  /** What the preflight said, where it must refuse. */
  readonly refusal: string | undefined
}

const QEMU = `qemu-system-x86_64 -machine q35,memory-backend=pc.ram -accel kvm -cpu host -m ${MEBIBYTES}M \\
  -object memory-backend-file,id=pc.ram,size=${MEBIBYTES}M,mem-path=/mnt/guestmemfs/guest-ram,share=on,prealloc=off \\
  -nodefaults -display none -kernel /opt/testbed/files/tiny-guest \\
  -chardev file,id=serial,path=/run/testbed/logs/guest,append=on -serial chardev:serial`

/** `10.0.13` */
const QEMU_VERSION = "qemu-system-x86_64 --version | sed -nE 's/.*version ([0-9.]+).*/\\1/p'"

export function liveUpdate(row: Row): Scenario<RowResult> {
  const { append, options } = STORES[row.store]
  const mount = `mkdir -p /mnt/guestmemfs; guestmemfs mount guestmemfs /mnt/guestmemfs -o ${options}`
  return {
    about: row.name,
    memory: '4G',
    timeoutMs: 900_000,
    append,
    files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
    async run(stage) {
      const { host, phase, guest } = stage
      await phase('mount', () => host.run(mount))
      await host.start('run', `exec guestmemfs run --name guest -- ${QEMU}`)
      await phase('guest runs', () => guest('guest').waitForTicks(10, PATIENCE_MS))
      const kernel = await host.run('uname -r')
      const qemu = await host.run(QEMU_VERSION)
      if (row.qemu !== row.nextQemu) await phase('QEMU upgraded', () => host.run(UPGRADE_QEMU))
      if (row.refused !== undefined) return refused(stage, row.refused, kernel, qemu)
      await host.atBoot(`${mount} --resume`, { alone: true })
      await phase('live update', () => host.jump(command(stage)))
      await phase('guest runs on', () => guest('guest').waitForTicks(10, PATIENCE_MS))
      return arrived(stage, row, kernel, qemu)
    },
  }
}

const command = ({ next }: Stage): string =>
  `guestmemfs live-update --kernel ${next.vmlinuz} --initrd ${next.initramfs} --reuse-cmdline`

/** In one line, and the guest's QEMU is the one that it was. */
async function refused(stage: Stage, says: RegExp, kernel: string, qemu: string): Promise<RowResult> {
  const { host, next, phase, guest, expect } = stage
  const vms = 'guestmemfs vms --json'
  const [before] = await host.json<{ pid: number }[]>(vms)
  const said = await phase('refused', () => host.run(`! ${command(stage)} 2>&1`))
  const line = said.split('\n').find((each) => says.test(each)) ?? said
  expect('refused', line, says)
  await guest('guest').waitForTicks(5)
  expect('the guest', await host.json(vms), [before])
  const nextQemu = await host.run(QEMU_VERSION)
  return {
    kernels: [kernel, next.release],
    qemus: [qemu, nextQemu],
    blackoutMs: undefined,
    refusal: line.replace(/^guestmemfs: /, ''),
  }
}

async function arrived(stage: Stage, row: Row, kernel: string, qemu: string): Promise<RowResult> {
  const { host, next, expect, keep } = stage
  const { vms } = await host.json<{
    vms: { name: string; outcome: string; blackoutUs: number | null; qemuAfter: string | null }[]
  }>('guestmemfs report --json')
  const [vm] = vms
  expect('outcome', vm?.outcome, 'updated')
  expect('kernel', await host.run('uname -r'), next.release)
  const nextQemu = await host.run(QEMU_VERSION)
  expect('QEMU', nextQemu, new RegExp(`^${RegExp.escape(row.nextQemu)}\\.`))
  expect("the guest's QEMU", vm?.qemuAfter, nextQemu)
  expect('fsck', await host.run('guestmemfs fsck guestmemfs'), /^guestmemfs: clean$/)
  await host.run('touch /mnt/guestmemfs/thawed')
  keep('blackout', vm?.blackoutUs)
  const blackoutMs = vm?.blackoutUs == null ? undefined : Math.round(vm.blackoutUs / 1000)
  return { kernels: [kernel, next.release], qemus: [qemu, nextQemu], blackoutMs, refusal: undefined }
}
