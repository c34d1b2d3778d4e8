/** Tests of what a VM's record may be: that of a QEMU, or of another VMM, and never of both. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDefinition } from './vm-definition.ts'

const QEMU = {
  ...{ format: 1, name: 'web', argv: ['/usr/bin/qemu-system-x86_64'], environment: {}, cwd: '/' },
  ...{ uid: 0, gid: 0, groups: [], cgroup: null, order: 0, machineType: 'q35', qemuVersion: '10.0.2' },
  ...{ mountPoint: '/mnt/gm', ramFiles: [{ id: 'ram', path: '/mnt/gm/web', sizeBytes: 4096 }] },
  ...{ statePath: '/mnt/gm/web.vmstate', saved: null },
}
const VMM = { save: 'a', cancel: 'b', start: 'c' }
const parse = (record: object) => parseDefinition(Buffer.from(JSON.stringify(record)))

test('the record of another VMM has another format: a version that takes it for a QEMU must not read it', () => {
  assert.deepEqual(parse(QEMU), QEMU)
  const other = { ...QEMU, format: 2, vmm: VMM }
  assert.deepEqual(parse(other), other)
  assert.throws(() => parse({ ...QEMU, vmm: VMM }))
  assert.throws(() => parse({ ...QEMU, format: 2 }))
  assert.throws(() => parse({ ...other, vmm: { save: 'a', start: 'c' } }))
})

test('the process that a guest of another VMM was saved in is on record', () => {
  const underUpdate = { wasRunning: true, vmm: { pid: 7, startTime: '12' } }
  const other = { ...QEMU, format: 2, vmm: VMM, underUpdate }
  assert.deepEqual(parse(other).underUpdate, underUpdate)
})
