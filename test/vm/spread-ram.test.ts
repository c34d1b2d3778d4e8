/**
 * Tests of guests whose RAM lies in several pools: they run, are updated and resumed with all of it, and
 * never with a file that is not theirs.
 */
import assert from 'node:assert/strict'
import { existsSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { getxattr } from '../../src/linux/xattr.ts'
import { UpdateSteps } from '../../src/liveupdate/kernel/update-steps.ts'
import { readVms } from '../../src/qemu/vm-list.ts'
import { guestmemfs, mountTestPool, printedIn, type TestPool, until } from '../mount/support.ts'
import { goesOn, node, oneNode, startSavable, startSpread } from './spread-guest.ts'
import { listVms, monitor, QEMU, qemuPid, resumeVms, SMALL_MACHINE, updateVmm, vmName } from './support.ts'

const isFrozen = ({ mountPoint }: TestPool): boolean =>
  Buffer.from(getxattr(mountPoint, 'trusted.guestmemfs.frozen') as Uint8Array).toString() === '1'

test('a guest with RAM in two pools is listed and updated by the name of either, and keeps both mounted', async (t) => {
  const spread = await startSpread(t, 'spread')
  const { vm, first, second } = spread
  for (const pool of [first, second]) {
    const shown = await guestmemfs('vms', pool.mountPoint)
    assert.match(
      shown.stdout,
      new RegExp(`${vm.name} +running .* 128M .*${first.path('spread')} ${second.path('spread')}`),
    )
    const busy = await guestmemfs('umount', pool.mountPoint)
    assert.deepEqual([busy.status, /is busy: end what uses it first/.test(busy.stderr)], [1, true])
    const before = qemuPid(vm.name)
    const { status, report, stderr } = await updateVmm(pool)
    assert.deepEqual(
      [status, report.vms[0]?.outcome, report.vms[0]?.ramBytes, stderr],
      [0, 'updated', 128 << 20, ''],
    )
    assert.notEqual(qemuPid(vm.name), before)
    await goesOn(spread)
  }
})

test('saved without one of its pools: it is named, waits, and goes on when the pool is there, by the resume of either', async (t) => {
  const spread = await startSavable(t, 'parted')
  const { vm, first, second } = spread
  const save = async () => {
    await spread.save()
    assert.equal((await guestmemfs('umount', second.mountPoint)).status, 0)
  }
  await save()
  const failed = await resumeVms(first, '--timeout', '1500ms')
  assert.equal(failed.status, 1)
  assert.equal(failed.report.vms[0]?.outcome, 'saved')
  assert.match(
    failed.report.vms[0]?.problem ?? '',
    new RegExp(`RAM file ${second.path('parted')} is missing`),
  )
  assert.equal((await listVms(first))[0]?.state, 'saved')

  // What comes within the time is waited for.
  const resuming = resumeVms(first, '--timeout', '20s')
  await until('it waits', async () => (await guestmemfs('vms')).stdout.includes('saved'))
  assert.equal((await guestmemfs('mount', second.pool, second.mountPoint)).status, 0)
  const resumed = await resuming
  assert.deepEqual([resumed.status, resumed.report.vms[0]?.outcome], [0, 'resumed'], resumed.stderr)
  await goesOn(spread)

  // At boot the second pool may be mounted when the first one's resumption is over.
  await save()
  const mounted = await guestmemfs('mount', second.pool, second.mountPoint, '--resume')
  assert.equal(mounted.status, 0, mounted.stderr)
  assert.match(mounted.stdout, new RegExp(`${vm.name} .*resumed`))
  await goesOn(spread)
})

test('another file of the same name, in another pool on the same mount point, is not taken for its RAM', async (t) => {
  const spread = await startSavable(t, 'swapped')
  const { vm, first, second } = spread
  await spread.save()
  assert.equal((await guestmemfs('umount', second.mountPoint)).status, 0)
  const other = await mountTestPool(t, { size: '128M' })
  assert.equal((await guestmemfs('umount', other.mountPoint)).status, 0)
  assert.equal((await guestmemfs('mount', other.pool, second.mountPoint, '-o', 'size=128M')).status, 0)
  writeFileSync(second.path('swapped'), '')
  truncateSync(second.path('swapped'), 64 << 20)

  const refused = await resumeVms(first, '--timeout', '1s')
  assert.match(
    refused.report.vms[0]?.problem ?? '',
    new RegExp(
      `${second.path('swapped')} is not the RAM file that VM ${vm.name} had: mount the pool that it was in`,
    ),
  )
  assert.equal((await guestmemfs('umount', '--discard', other.pool)).status, 0)
  assert.equal((await guestmemfs('mount', second.pool, second.mountPoint)).status, 0)
  assert.equal((await resumeVms(first)).status, 0)
  await goesOn(spread)
})

test('RAM of a guest whose record is in a pool that is not mounted is not taken by another guest', async (t) => {
  const spread = await startSavable(t, 'away')
  const { vm, first, second } = spread
  await spread.save()
  assert.equal((await guestmemfs('umount', first.mountPoint)).status, 0)
  const taker = ['run', '--name', vmName('taker'), '--', ...oneNode(second.path('away'))]
  const refused = await guestmemfs(...taker)
  assert.equal(refused.status, 1)
  assert.match(
    refused.stderr,
    new RegExp(
      `away is RAM of VM ${vm.name}, which is recorded on ${first.path('away')} of pool '${first.pool}': mount that pool`,
    ),
  )
  assert.equal((await guestmemfs('mount', first.pool, first.mountPoint)).status, 0)
  const again = await guestmemfs(...taker)
  assert.match(again.stderr, new RegExp(`VM ${vm.name} on ${second.path('away')} is saved: continue it`))
  assert.equal((await resumeVms(first)).status, 0)
  await goesOn(spread)
})

test('a guest that ended leaves its RAM in each pool to the next one', async (t) => {
  const { vm, second } = await startSpread(t, 'ended')
  await monitor(vm.name, 'quit').catch(() => {})
  assert.equal(await vm.ended, 0)
  const name = vmName('next')
  const next = await guestmemfs('run', '--name', name, '--', ...oneNode(second.path('ended')))
  assert.equal(next.status, 0, next.stderr)
  await monitor(name, 'quit').catch(() => {})
  await until('it ended', async () => (await guestmemfs('vms', second.mountPoint)).stdout.includes('no VMs'))
})

test('the preflight of a kernel update names the guest for each of its pools', async (t) => {
  const { vm, first, second } = await startSpread(t, 'planned')
  const words = ['live-update', '--kernel', '/nonexistent', '--reuse-cmdline', '--dry-run', '--json']
  const findings = async (): Promise<string> => {
    const { findings } = printedIn('live-update', (await guestmemfs(...words)).stdout)
    return findings.map(({ message }) => message).join('\n')
  }
  const all = await findings()
  for (const { pool } of [first, second])
    assert.match(
      all,
      new RegExp(`pool '${pool}' \\(store=memfd\\) ends with this kernel, and VM ${vm.name} with it`),
    )
  // A pool that was cut off under the guest is no pool that the next kernel would find.
  assert.equal((await guestmemfs('umount', '--force', second.mountPoint)).status, 0)
  assert.match(
    await findings(),
    new RegExp(
      `VM ${vm.name} has RAM in ${second.path('planned')}, and the pool of that is not mounted: mount it first`,
    ),
  )
  assert.equal((await guestmemfs('mount', second.pool, second.mountPoint)).status, 0)
})

test('a kernel update freezes both pools, and rolling back thaws both', async (t) => {
  const spread = await startSpread(t, 'frozen')
  const { vm, first, second } = spread
  const steps = new UpdateSteps(
    {
      vms: readVms([vm.ramFile]).vms,
      recorded: [vm.ramFile],
      pools: [first, second].map(({ pool, mountPoint }) => ({ pool, mountPoint, by: 'carve-out' as const })),
      lines: new Map(),
      timeoutMs: 20_000,
      patienceMs: 10_000,
      left: [],
      change: { via: 'kexec', before: '6.12', next: '7.3' },
    },
    Date.now(),
  )
  steps.writeUpdateRecord()
  await steps.suspendAll()
  steps.freeze()
  steps.checkNoNewGuest()
  assert.deepEqual([isFrozen(first), isFrozen(second)], [true, true])
  const [timeline] = await steps.rollBack()
  assert.deepEqual([timeline?.outcome, timeline?.problem], ['rolled-back', null])
  assert.deepEqual([isFrozen(first), isFrozen(second)], [false, false])
  await goesOn(spread)
})

test('RAM under another name is not taken, nor by the very line of its guest once the file with the record was renamed', async (t) => {
  const { first, second, ...rest } = await startSpread(t, 'renamed')
  const [ram, record] = [second.path('renamed'), first.path('renamed')]
  const expectRefused = async (...line: string[]) => {
    const { status, stderr } = await guestmemfs('run', '--name', vmName('taker'), '--', ...line)
    assert.equal(status, 1)
    assert.match(stderr, /is RAM of VM renamed-\d+, which is recorded on/)
  }
  renameSync(ram, `${ram}.moved`)
  await expectRefused(...oneNode(`${ram}.moved`))
  // A new file by the old name is no sign that the guest has given it up.
  writeFileSync(ram, '')
  await expectRefused(...oneNode(`${ram}.moved`))
  rmSync(ram)
  renameSync(`${ram}.moved`, ram)
  renameSync(record, `${record}.moved`)
  await expectRefused(QEMU, ...SMALL_MACHINE, '-m', '128M', ...node(0, record), ...node(1, ram))
  assert.ok(!existsSync(record), 'what is refused leaves no file')
  renameSync(`${record}.moved`, record)
  assert.equal((await updateVmm(first)).status, 0)
  await goesOn({ first, second, ...rest })
})

test('RAM that --replace gave to another VM is not used again by the guest that had it', async (t) => {
  const { first, second, save } = await startSavable(t, 'given')
  await save()
  assert.equal((await guestmemfs('umount', first.mountPoint)).status, 0)
  const name = vmName('taker')
  const taken = await guestmemfs('run', '--replace', '--name', name, '--', ...oneNode(second.path('given')))
  assert.equal(taken.status, 0, taken.stderr)
  assert.equal((await guestmemfs('mount', first.pool, first.mountPoint)).status, 0)
  const { report } = await resumeVms(first, '--timeout', '500ms')
  assert.match(report.vms[0]?.problem ?? '', /given is not the RAM file that VM given-\d+ had/)
  await monitor(name, 'quit').catch(() => {})
})
