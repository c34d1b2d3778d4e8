/**
 * Tests of what becomes of a device_del of a DIMM that the guest has not answered when its QEMU is replaced:
 * the stream does not have it (`vmstate_memhp_sts`, hw/acpi/memory_hotplug.c in QEMU), and it can be sent
 * again.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dimmsOf, plugFile, startPluggable, unplug } from './pluggable-guest.ts'
import { monitor, qemuPid, updateVmm } from './support.ts'

test('the DIMM stays with the guest, and goes when it is asked for again', async (t) => {
  const { pool, vm, serial } = await startPluggable(t, 'unanswered')
  await plugFile(pool, vm.name, 'dimm0')
  await monitor(vm.name, 'stop')
  await monitor(vm.name, 'device_del', { id: 'dimm0' })
  const pid = qemuPid(vm.name)
  const { status, stderr, report } = await updateVmm(pool)
  assert.deepEqual([status, report.vms[0]?.outcome], [0, 'updated'], stderr)
  assert.notEqual(qemuPid(vm.name), pid)
  await monitor(vm.name, 'cont')
  await serial.moreTicks(5)
  assert.deepEqual(
    (await dimmsOf(vm.name)).map(({ id }) => id),
    ['dimm0'],
  )
  await unplug(vm.name, 'dimm0')
  assert.deepEqual(await dimmsOf(vm.name), [])
  await serial.moreTicks(2)
  assert.equal(serial.findBreak(), undefined)
})
