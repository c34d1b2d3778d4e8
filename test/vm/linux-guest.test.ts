/**
 * Tests of the update of a guest with a real operating system: Linux goes on, with its files and clocks in
 * order.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildLinuxGuest } from '../../testbed/guests/linux-guest.ts'
import {
  mountVmPool,
  QEMU,
  ramOptions,
  runVm,
  SMALL_MACHINE,
  scratchFolder,
  updateVmm,
  vmName,
} from './support.ts'

const BOOT_TIMEOUT_MS = 120_000

test('a Linux guest goes on in a new QEMU', async (t) => {
  const pool = await mountVmPool(t, '512M')
  const folder = scratchFolder(t)
  const { kernel, initrd, commandLine, ramMebibytes } = await buildLinuxGuest(folder)
  const line = [QEMU, ...SMALL_MACHINE, '-cpu', 'max', ...ramOptions(pool.path('linux'), `${ramMebibytes}M`)]
  line.push('-kernel', kernel, '-initrd', initrd, '-append', commandLine, '-serial', 'stdio')
  const vm = runVm(pool, folder, vmName('linux'), pool.path('linux'), [], line)
  await Promise.race([vm.serial.until(3, BOOT_TIMEOUT_MS), vm.ended.then(() => assert.fail(vm.errors()))])

  for (let round = 0; round < 2; round++) {
    const { status, report } = await updateVmm(pool)
    assert.equal(status, 0, JSON.stringify(report))
    await vm.serial.moreTicks(3)
    assert.equal(vm.serial.findBreak(), undefined)
  }
  assert.doesNotMatch(vm.serial.text(), /BUG|Oops|soft lockup|Call Trace/)
})
