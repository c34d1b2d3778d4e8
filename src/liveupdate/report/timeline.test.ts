import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Vm } from '../../qemu/vm-list.ts'
import { chooseSaved } from '../resume-all.ts'
import { chooseVms } from '../vmm-plan.ts'
import { PhaseClock, type VmTimeline } from './timeline.ts'
import { isSuccess, reportTable, reportTitle, type UpdateReport } from './update-report.ts'

test('phases follow each other without a gap, and together are the blackout', () => {
  const clock = new PhaseClock(1000)
  clock.stopped(1010.25)
  clock.ended('save', 1016)
  clock.ended('quit', 1020)
  clock.ended('start', 1066.5)
  assert.deepEqual(clock.phases, [
    { phase: 'save', startUs: 10250, durationUs: 5750 },
    { phase: 'quit', startUs: 16000, durationUs: 4000 },
    { phase: 'start', startUs: 20000, durationUs: 46500 },
  ])
  assert.equal(clock.blackoutUs, 56250)
  assert.equal(new PhaseClock(1000).blackoutUs, null, 'a guest that did not run had none')
})

test('the report has a row for each VM, and is a success only if every guest runs as intended', () => {
  const vm: VmTimeline = {
    name: 'a',
    ramBytes: 2 ** 30,
    outcome: 'updated',
    problem: null,
    qemuBefore: '10.0.2',
    qemuAfter: '11.1.0',
    stateBytes: 300_000,
    phases: [{ phase: 'save', startUs: 0, durationUs: 5500 }],
    blackoutUs: 64_449,
  }
  const report: UpdateReport = {
    format: 1,
    kind: 'vmm-only',
    mountPoint: '/mnt/gm',
    startedAtMs: 0,
    durationUs: 1,
    vms: [vm, { ...vm, name: 'b', outcome: 'saved', qemuAfter: null, phases: [], blackoutUs: null }],
  }
  assert.deepEqual(reportTable(report), {
    header: ['VM', 'RAM', 'OUTCOME', 'QEMU', 'SAVE', 'BLACKOUT'],
    rows: [
      ['a', '1G', 'updated', '10.0.2 → 11.1.0', '5.5 ms', '64.4 ms'],
      ['b', '1G', 'saved', '10.0.2', '-', '-'],
    ],
  })
  assert.equal(isSuccess(report), false)
  assert.equal(reportTitle(report), undefined)
  const kernel = {
    before: '6.12',
    after: '7.3',
    wanted: '7.3',
    via: 'kexec',
    clockUncertaintyUs: 9500,
  } as const
  assert.match(reportTitle({ ...report, kernel }) ?? '', /^kernel 6\.12 → 7\.3 by kexec; .* within 9\.5 ms$/)
  const stayed = { ...kernel, after: null, wanted: '6.12' }
  assert.equal(reportTitle({ ...report, kernel: stayed }), 'kernel 6.12: not replaced by 6.12')
  assert.equal(isSuccess({ ...report, vms: [vm] }), true)
})

test('which VMs a command selects', () => {
  const vm = (name: string, state: Vm['state']) =>
    ({ definition: { name, saved: state === 'saved' ? {} : null }, state }) as unknown as Vm
  const vms = [vm('a', 'running'), vm('b', 'saved'), vm('c', 'dead'), vm('d', 'running')]
  const names = (chosen: Vm[]) => chosen.map(({ definition }) => definition.name).join('')
  assert.equal(names(chooseVms(vms, [])), 'ad')
  assert.equal(names(chooseVms(vms, ['d'])), 'd')
  assert.throws(() => chooseVms(vms, ['x']), /there is no VM 'x'/)
  assert.throws(() => chooseVms(vms, ['b']), /VM b is saved: continue it with 'guestmemfs resume --name b'/)
  assert.throws(() => chooseVms(vms, ['c']), /VM c is dead/)
  assert.throws(() => chooseVms([vm('b', 'saved')], []), /no VM runs there/)
  assert.equal(names(chooseSaved(vms, [], new Map())), 'b')
  assert.equal(names(chooseSaved(vms, ['a'], new Map())), 'a', 'it may be stopped in its QEMU')
  assert.throws(() => chooseSaved(vms, ['c'], new Map()), /VM c is dead/)
  assert.throws(() => chooseSaved(vms, ['x'], new Map()), /there is no VM 'x'/)
})
