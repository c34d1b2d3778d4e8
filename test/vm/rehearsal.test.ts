/**
 * Tests of `live-update --rehearse`: it tells what an update would do, and neither stops a guest nor leaves
 * anything. No test here loads a kernel: the testbed does.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import type { Outputs } from '../../src/cli/json/outputs.ts'
import { readDefinition } from '../../src/qemu/vm-definition.ts'
import { readRuntime, vmPaths } from '../../src/run/vm-runtime.ts'
import { readPrinted } from '../../testbed/printed-json.ts'
import { guestmemfs } from '../mount/support.ts'
import { planKernel } from './plan-a-kernel.ts'
import {
  listVms,
  monitor,
  mountVmPool,
  quitFirst,
  scratchFolder,
  startTinyVm,
  type TestVm,
  updateVmm,
  type VmPool,
} from './support.ts'

const rehearse = (pool: VmPool, ...words: string[]) =>
  guestmemfs('live-update', '--vmm-only', '--rehearse', pool.mountPoint, ...words)

type Printed = Outputs['live-update']

async function rehearsed(pool: VmPool): Promise<Printed & { readonly rehearsal: object }> {
  const { status, stdout, stderr } = await rehearse(pool, '--json')
  assert.equal(status, 0, stderr)
  const printed = readPrinted('live-update', stdout)
  assert.ok(printed.rehearsal !== null)
  return { ...printed, rehearsal: printed.rehearsal }
}

/** All that a rehearsal could have left: records, the pool's files, QEMUs, folders of trials. */
async function stateOf(pool: VmPool, guests: readonly TestVm[]): Promise<unknown> {
  return {
    vms: await listVms(pool),
    files: readdirSync(pool.mountPoint).sort(),
    guests: guests.map(({ name, ramFile }) => ({
      definition: readDefinition(ramFile),
      runtime: readRuntime(name),
      trials: readdirSync(vmPaths(name).directory).filter((file) => file.startsWith('trial-')),
    })),
  }
}

async function allRunOn(guests: readonly TestVm[]): Promise<void> {
  for (const { serial } of guests) {
    await serial.moreTicks(2)
    assert.equal(serial.findBreak(), undefined)
  }
}

test('a rehearsal of new QEMUs tells how each guest would get its own, and leaves all as it was', async (t) => {
  const pool = await mountVmPool(t)
  const first = await startTinyVm(t, pool, 'first')
  const last = await startTinyVm(t, pool, 'last', { seed: 2, options: quitFirst(scratchFolder(t)) })
  const paused = await startTinyVm(t, pool, 'paused', { seed: 3 })
  await monitor(paused.name, 'stop')
  const guests = [first, last, paused]
  const before = await stateOf(pool, guests)

  const { ready, plan, reports, rehearsal } = await rehearsed(pool)
  assert.deepEqual([ready, plan, reports, rehearsal.load], [true, null, [], null])
  const told = rehearsal.guests
  const of = ({ name }: TestVm) => told.find((each) => each.name === name)
  assert.deepEqual(
    guests.map((vm) => [of(vm)?.fate, of(vm)?.state, of(vm)?.why]),
    [
      ['carried', 'running', null],
      ['carried', 'running', null],
      ['carried', 'paused', null],
    ],
  )
  assert.equal(of(first)?.quitFirst, null)
  assert.match(of(last)?.quitFirst ?? '', /-pidfile/)
  assert.equal(of(paused)?.expected, null)
  // The machine may have reports of other guests.
  assert.notEqual(of(first)?.expected?.of, 'guest')
  assert.deepEqual(await stateOf(pool, guests), before)
  assert.equal(((await monitor(paused.name, 'query-status')) as { status: string }).status, 'paused')
  await allRunOn([first, last])
})

test('what a former update took is what the next one is expected to take', async (t) => {
  const pool = await mountVmPool(t)
  const guest = await startTinyVm(t, pool, 'guest')
  const { report, stderr } = await updateVmm(pool)
  const blackoutUs = report.vms[0]?.blackoutUs as number
  assert.ok(blackoutUs > 0, stderr)
  const { guests } = (await rehearsed(pool)).rehearsal
  const expected = { medianUs: blackoutUs, longestUs: blackoutUs, count: 1, of: 'guest' }
  assert.deepEqual(guests[0]?.expected, expected)
  const { stdout } = await rehearse(pool)
  assert.match(stdout, new RegExp(`^${guest.name} .* 1 of its own$`, 'm'))
  assert.match(stdout, /^ready: the rehearsal passed$/m)
  await allRunOn([guest])
})

test('a guest that would be refused is named, with the status of the update itself', async (t) => {
  const pool = await mountVmPool(t)
  const fit = await startTinyVm(t, pool, 'fit')
  const nvme = ['-blockdev', 'null-co,node-name=disk,read-zeroes=on', '-device', 'nvme,serial=x,drive=disk']
  const unfit = await startTinyVm(t, pool, 'unfit', { seed: 2, options: nvme })
  const before = await stateOf(pool, [fit, unfit])
  const { status, stdout, stderr } = await rehearse(pool)
  assert.equal(status, 1)
  assert.match(stdout, new RegExp(`^${fit.name} +64M +carried `, 'm'))
  assert.match(stdout, new RegExp(`^${unfit.name} +64M +refused `, 'm'))
  assert.match(stdout, new RegExp(`^refused: VM ${unfit.name}: cannot be saved: non-migratable device`, 'm'))
  assert.doesNotMatch(stdout, /ready:/)
  assert.match(stderr, /not ready: 1 of 2 guests would be updated, what is refused stays as it is/)
  const all = await rehearse(pool, '--all-or-none')
  assert.equal(all.status, 1)
  assert.match(all.stderr, /not ready: the update would be refused, and every guest would run on/)
  assert.match(all.stdout, new RegExp(`^${fit.name}: the update is refused for all$`, 'm'))
  assert.deepEqual(await stateOf(pool, [fit, unfit]), before)
  await allRunOn([fit, unfit])
})

test('a rehearsal of a new kernel names guests that are refused and left, and loads none that is refused', async (t) => {
  const pool = await mountVmPool(t)
  const [kept, left] = [await startTinyVm(t, pool, 'kept'), await startTinyVm(t, pool, 'left', { seed: 2 })]
  const before = await stateOf(pool, [kept, left])
  const { stdout, stderr } = await planKernel(t, '--rehearse', '--leave', left.name)
  assert.match(stdout, /^refused: kernel \/nowhere is missing$/m)
  assert.match(stdout, /^load +it was not tried: the update is refused$/m)
  // The command has a mount namespace of its own, in place of the next kernel's.
  assert.match(stdout, new RegExp(`^${kept.name} +64M +refused `, 'm'))
  assert.match(stdout, new RegExp(`^${kept.name}: its QEMU runs in a mount namespace of its own`, 'm'))
  assert.match(stdout, new RegExp(`^${left.name} +64M +left `, 'm'))
  assert.match(stderr, /not ready: the update would be refused/)
  const { stdout: json } = await planKernel(t, '--rehearse', '--json')
  const { ready, plan, rehearsal, findings } = readPrinted('live-update', json)
  assert.deepEqual([ready, plan?.kernel, rehearsal?.load?.outcome], [false, '/nowhere', 'left-out'])
  assert.ok(findings.some(({ message }) => message === 'kernel /nowhere is missing'))
  assert.deepEqual(await stateOf(pool, [kept, left]), before)
  await allRunOn([kept, left])
})

test('a rehearsal is neither a dry run nor an abort', async () => {
  for (const [words, says] of [
    [['--kernel', '/nowhere', '--dry-run'], /give either --rehearse or --dry-run/],
    [['--abort'], /give --abort alone/],
    [[], /give either --kernel FILE, for a new kernel, or --vmm-only/],
  ] as const) {
    const { status, stderr } = await guestmemfs('live-update', '--rehearse', ...words)
    assert.equal(status, 1)
    assert.match(stderr, says)
  }
})
