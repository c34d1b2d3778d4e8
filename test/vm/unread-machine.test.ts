/**
 * Tests that a guest is refused whose machine was not read at its start, and whose next QEMU cannot be tried
 * beside it: nothing would show an overlay that its line does not have.
 */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { vmPaths } from '../../src/run/vm-runtime.ts'
import { snapshot } from './carried-changes.ts'
import { expectRefused, startMachine } from './refused-changes.ts'
import { updateVmm } from './support.ts'

test('one with a device that is not tried is refused, and another is tried with a warning', async (t) => {
  const machine = await startMachine(t, 'unread', { options: ['-device', 'pci-testdev'] })
  const { name } = machine.vm
  await snapshot(name, { 'node-name': 'disk0' }, join(machine.folder, 'over.qcow2'), {
    'snapshot-node-name': 'over0',
  })
  rmSync(vmPaths(name).machine, { force: true })
  await expectRefused(
    machine,
    /was not read when it started, and its next QEMU cannot be tried: device pci-testdev/,
  )
  const other = await startMachine(t, 'tried')
  rmSync(vmPaths(other.vm.name).machine)
  const { status, stderr } = await updateVmm(other.pool)
  assert.equal(status, 0)
  assert.match(stderr, /its machine was not read when it started: whether devices/)
})
