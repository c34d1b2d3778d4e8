/**
 * Tests of what the plan of a kernel update says of pools that were not named. A dry run alone: this machine
 * need not have a live update orchestrator, so the command sees a device of that name, which makes it plan as
 * on one that has it. The testbed has the real one.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { moodyQemu } from './fake-qemu.ts'
import { linesOfPlan } from './plan-a-kernel.ts'
import { startPrivateRamVm } from './private-ram-vm.ts'
import { monitor, mountVmPool, quitFirst, scratchFolder, startTinyVm, updateVmm } from './support.ts'

test('a saved guest, a running one and files of a pool that is left out would end with this kernel, and are named', async (t) => {
  const [pool, other, files] = [await mountVmPool(t), await mountVmPool(t), await mountVmPool(t, '64M')]
  await startTinyVm(t, pool, 'chosen')
  const qemu = moodyQemu(scratchFolder(t))
  const saved = await startTinyVm(t, other, 'saved', {
    qemu: qemu.path,
    options: quitFirst(scratchFolder(t)),
  })
  qemu.set('exit 7')
  assert.equal((await updateVmm(other)).report.vms[0]?.outcome, 'saved')
  const running = await startTinyVm(t, other, 'running', { seed: 2 })
  writeFileSync(files.path('file'), 'some data')

  const lines = await linesOfPlan(t, pool.mountPoint)
  const ends = lines.filter((line) => line.includes('would end with this kernel'))
  for (const what of [
    `VM ${running.name} of pool '${other.pool}'`,
    `VM ${saved.name} of pool '${other.pool}', which is saved,`,
    `the files of pool '${files.pool}'`,
  ])
    assert.equal(ends.filter((line) => line.includes(`${what} would end`)).length, 1, ends.join('\n'))
  assert.equal(ends.length, 3, ends.join('\n'))
})

test('a guest that cannot be saved refuses the update, unless the operator leaves it', async (t) => {
  const pool = await mountVmPool(t)
  const nvme = ['-blockdev', 'null-co,node-name=disk,read-zeroes=on', '-device', 'nvme,serial=x,drive=disk']
  const { name } = await startTinyVm(t, pool, 'unfit', { options: nvme })
  const refusal = (line: string) => line.includes(`VM ${name}: cannot be saved: non-migratable device`)
  assert.equal((await linesOfPlan(t)).filter(refusal).length, 1)

  const left = await linesOfPlan(t, '--leave', name)
  assert.deepEqual(left.filter(refusal), [])
  assert.equal(left.filter((line) => line.includes(`VM ${name} is left: it ends with this kernel`)).length, 1)
})

test('a guest with private RAM is named before it is paused, and max-bandwidth makes no difference', async (t) => {
  const pool = await mountVmPool(t)
  const { name, serial } = await startPrivateRamVm(t, pool, 'bulky')
  const words = `VM ${name}: 64M of its RAM are private: it is stopped while QEMU writes them`
  for (const limit of [0, 32 << 20]) {
    await monitor(name, 'migrate-set-parameters', { 'max-bandwidth': limit })
    const told = (await linesOfPlan(t, '--patience', '2s')).filter((line) => line.includes('private'))
    assert.deepEqual(told, [`guestmemfs: warning: ${words}`])
  }
  await serial.moreTicks(2)
  assert.equal(serial.findBreak(), undefined)
})
