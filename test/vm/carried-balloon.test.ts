/** Tests that a balloon is as large after an update as it was, is asked for as much, and reports as often. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { monitor, mountVmPool, qemuPid, startTinyVm, updateVmm } from './support.ts'

const PAGE = 4096

test('a balloon: what it was asked for, what the guest gave, and the interval of its statistics', async (t) => {
  const pool = await mountVmPool(t)
  const { name, serial } = await startTinyVm(t, pool, 'balloon', {
    options: ['-device', 'virtio-balloon-pci,id=balloon0'],
  })
  const human = (line: string) =>
    monitor(name, 'human-monitor-command', { 'command-line': line }).then(String)
  const interval = { path: '/machine/peripheral/balloon0', property: 'guest-stats-polling-interval' }
  const buses = (await monitor(name, 'query-pci')) as {
    devices: { qdev_id: string; regions: { bar: number; address: number }[] }[]
  }[]
  const device = buses.flatMap(({ devices }) => devices).find(({ qdev_id }) => qdev_id === 'balloon0')
  const bar = device?.regions.find(({ bar }) => bar === 0)?.address
  assert.ok(bar !== undefined && bar > 0, 'firmware gave it ports')
  /** struct virtio_balloon_config, behind the header of a device without MSI-X. */
  const [asked, given] = [bar + 0x14, bar + 0x18]
  const balloon = async () => [
    Number((await human(`i/w ${asked}`)).trim().split(/\s+/).at(-1)),
    ((await monitor(name, 'query-balloon')) as { actual: number }).actual,
    await monitor(name, 'qom-get', interval),
  ]
  await monitor(name, 'balloon', { value: 48 << 20 })
  // As a driver that has given half of it so far.
  await human(`o/w ${given} ${(8 << 20) / PAGE}`)
  await monitor(name, 'qom-set', { ...interval, value: 7 })
  const before = [(16 << 20) / PAGE, 56 << 20, 7]
  assert.deepEqual(await balloon(), before)
  for (const _ of [1, 2]) {
    const pid = qemuPid(name)
    const { status, stderr } = await updateVmm(pool)
    assert.deepEqual([status, stderr], [0, ''])
    assert.notEqual(qemuPid(name), pid)
    assert.deepEqual(await balloon(), before)
  }
  await monitor(name, 'qom-set', { ...interval, value: 0 })
  assert.equal((await updateVmm(pool)).status, 0)
  assert.deepEqual(await balloon(), before.with(2, 0))
  await serial.moreTicks(2)
  assert.equal(serial.findBreak(), undefined)
})
