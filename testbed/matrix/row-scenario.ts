/**
 * One row of the matrix as a scenario: a guest in a pool of the row's store, the host's QEMU upgraded where
 * the row says so, and one live update of the kernel under it; or its refusal, with the guest never paused.
 */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { UPGRADE_QEMU } from '../image/root.ts'
import { expectUpdated, liveUpdate } from '../scenario/live-update.ts'
import { expectClean, onlyVm, refusal } from '../scenario/pool.ts'
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

/** The host's versions, and the guest's blackout by the host's clocks. */
export interface RowResult {
  readonly kernels: readonly [string, string]
  readonly qemus: readonly [string, string]
  readonly blackoutMs: number | undefined
  /** The message of the preflight, where it must refuse. */
  readonly refusal: string | undefined
}

const QEMU = guestCommand({ name: 'guest', mebibytes: MEBIBYTES, kernel: 'tiny-guest' })

/** `10.0.13` */
const QEMU_VERSION = "qemu-system-x86_64 --version | sed -nE 's/.*version ([0-9.]+).*/\\1/p'"

export function rowScenario(row: Row): Scenario<RowResult> {
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
      await phase('live update', () => host.jump(liveUpdate(stage.next)))
      await phase('guest runs on', () => guest('guest').waitForTicks(10, PATIENCE_MS))
      return arrived(stage, row, kernel, qemu)
    },
  }
}

/** The update was refused in one line, and the guest has the same QEMU. */
async function refused(stage: Stage, says: RegExp, kernel: string, qemu: string): Promise<RowResult> {
  const { host, next, phase, guest, expect } = stage
  const before = await onlyVm(host)
  const said = await phase('refused', () => refusal(host, liveUpdate(next)))
  const line = said.split('\n').find((each) => says.test(each)) ?? said
  expect('refused', line, says)
  await guest('guest').waitForTicks(5)
  expect('the guest', await onlyVm(host), before)
  const nextQemu = await host.run(QEMU_VERSION)
  return {
    kernels: [kernel, next.release],
    qemus: [qemu, nextQemu],
    blackoutMs: undefined,
    refusal: line.replace(/^guestmemfs: /, ''),
  }
}

async function arrived(stage: Stage, row: Row, kernel: string, qemu: string): Promise<RowResult> {
  const { host, next, expect } = stage
  const { vms } = await expectUpdated(stage, ['guest'])
  const nextQemu = await host.run(QEMU_VERSION)
  expect('QEMU', nextQemu, new RegExp(`^${RegExp.escape(row.nextQemu)}\\.`))
  const { pid } = await onlyVm(host)
  expect("the guest's QEMU", await host.run(`/proc/${pid}/exe --version`), new RegExp(`version ${nextQemu} `))
  await expectClean(stage)
  await host.run('touch /mnt/guestmemfs/thawed')
  const blackoutMs = Math.round((vms[0]?.blackoutUs ?? 0) / 1000)
  return { kernels: [kernel, next.release], qemus: [qemu, nextQemu], blackoutMs, refusal: undefined }
}
