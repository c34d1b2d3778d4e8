/** Tests that a report has the times of this host, whatever time a guest's QEMU claims. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { skewedQemu } from './fake-qemu.ts'
import { mountVmPool, QEMU, scratchFolder, startTinyVm, updateVmm } from './support.ts'

for (const seconds of [600, -600]) {
  test(`a QEMU whose clock is ${seconds} s off changes no time of the report`, async (t) => {
    const pool = await mountVmPool(t)
    const vm = await startTinyVm(t, pool, 'skewed', { qemu: skewedQemu(scratchFolder(t), seconds) })
    const { status, report, stderr } = await updateVmm(pool, '--qemu', `/usr/bin/${QEMU}`)
    assert.equal(status, 0, `${stderr}${JSON.stringify(report)}`)
    const [timeline] = report.vms
    assert.equal(timeline?.outcome, 'updated')
    const blackoutUs = timeline.blackoutUs ?? -1
    assert.ok(blackoutUs >= 0 && blackoutUs <= report.durationUs, `a blackout of ${blackoutUs} µs`)
    for (const { phase, startUs, durationUs } of timeline.phases)
      assert.ok(
        startUs >= -1000 && durationUs >= 0 && startUs + durationUs <= report.durationUs + 1000,
        `${phase}: ${startUs} + ${durationUs} µs of ${report.durationUs}`,
      )
    await vm.serial.moreTicks(2)
    assert.equal(vm.serial.findBreak(), undefined)
  })
}
