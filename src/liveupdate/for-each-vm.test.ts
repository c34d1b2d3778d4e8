import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Vm } from '../qemu/vm-list.ts'
import { runForEach } from './for-each-vm.ts'
import type { VmTimeline } from './report/timeline.ts'

const vm = (name: string): Vm => ({ definition: { name } }) as unknown as Vm
const timeline = (name: string): VmTimeline => ({ name, outcome: 'updated' }) as unknown as VmTimeline

test('all VMs are updated at once, each is reported when it is done, and the report keeps their order', async () => {
  const told: string[] = []
  const both = Promise.withResolvers<void>()
  let started = 0
  const batch = {
    mountPoint: '/mnt',
    vms: [vm('a'), vm('b')],
    nextQemu: '/q',
    timeoutMs: 7,
    onPhase: (name: string, phase: string) => told.push(`${name} ${phase}`),
    onDone: ({ name }: VmTimeline) => told.push(`${name} done`),
  }
  const report = await runForEach('resume', batch, async (request) => {
    const { name } = request.vm.definition
    if (++started === 2) both.resolve()
    // Resolves only if the second action starts before the first one has ended.
    await both.promise
    request.onPhase('load')
    assert.deepEqual([request.nextQemu, request.timeoutMs], ['/q', 7])
    if (name === 'a') await new Promise(setImmediate)
    return timeline(name)
  })
  assert.deepEqual(told, ['a load', 'b load', 'b done', 'a done'])
  assert.deepEqual([report.kind, report.mountPoint, report.format], ['resume', '/mnt', 1])
  assert.deepEqual(
    report.vms.map(({ name }) => name),
    ['a', 'b'],
  )
  assert.ok(report.durationUs >= 0 && report.startedAtMs > 0)
})
