/**
 * Tests of a next QEMU that would start, and would be another machine than the guest has: another ROM,
 * processor or accelerator. The preflight names it before the guest is paused.
 */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { moodyQemu } from './fake-qemu.ts'
import { faultyQemu, untilRead } from './faulty-qemu.ts'
import { mountVmPool, qemuPid, scratchFolder, startTinyVm, updateVmm } from './support.ts'

const ROM_BYTES = 64 << 10

test('a ROM of another size is named before the guest is paused', async (t) => {
  const pool = await mountVmPool(t)
  const rom = join(scratchFolder(t), 'nic.rom')
  writeFileSync(rom, Buffer.alloc(ROM_BYTES))
  const options = ['-device', `e1000,romfile=${rom}`]
  const vm = await startTinyVm(t, pool, 'rom', { options })
  const before = qemuPid(vm.name)
  // As by an upgrade of the package that it is from.
  writeFileSync(rom, Buffer.alloc(2 * ROM_BYTES))
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 1)
  assert.match(
    stderr,
    /^guestmemfs: VM rom-\d+: its next QEMU would have \S+e1000\.rom of 128K, and the guest has 64K: .*\n$/,
  )
  assert.equal(qemuPid(vm.name), before)
  writeFileSync(rom, Buffer.alloc(ROM_BYTES))
  assert.equal((await updateVmm(pool)).status, 0)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('a processor without a feature that the guest has is refused, one with more is told', async (t) => {
  const pool = await mountVmPool(t)
  const qemu = moodyQemu(scratchFolder(t))
  const options = ['-cpu', 'qemu64,-lahf-lm']
  const vm = await startTinyVm(t, pool, 'features', { qemu: qemu.path, options })
  const before = qemuPid(vm.name)
  qemu.set('set -- $(echo "$@" | sed s/qemu64,-lahf-lm/qemu64,-lahf-lm,-cx16/)', 'even-tried')
  const refused = await updateVmm(pool)
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /without features that the guest may use \(bits 0x2000 of CPUID 0x1 ECX\)/)
  assert.equal(qemuPid(vm.name), before)
  qemu.set('set -- $(echo "$@" | sed s/qemu64,-lahf-lm/qemu64/)', 'even-tried')
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 0, stderr)
  assert.match(stderr, /more features than it started with \(bits 0x1 of CPUID 0x80000001 ECX\)/)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('an accelerator that the next QEMU does not have is named before the guest is paused', async (t) => {
  const pool = await mountVmPool(t)
  // No machine of this test need have KVM: its monitor says so.
  const faulty = faultyQemu(scratchFolder(t))
  const vm = await startTinyVm(t, pool, 'kvm', { qemu: faulty.path })
  await untilRead(vm.name)
  const before = qemuPid(vm.name)
  faulty.set({
    role: 'old',
    connection: 1,
    command: 'query-kvm',
    how: 'claim',
    claim: { enabled: true, present: true },
  })
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 1)
  assert.match(stderr, /a processor of accelerator another than KVM, and the guest has accelerator KVM/)
  assert.equal(qemuPid(vm.name), before)
})

/** As QEMU's greeting has it. */
const NEWER = {
  QMP: { version: { qemu: { major: 99, minor: 0, micro: 0 }, package: '' }, capabilities: [] },
}

test('a next QEMU of another version that reads no state of a device as the guest has it is refused, another field is told', async (t) => {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const [edit, dump] = ['edit', 'dump'].map((name) => join(folder, name)) as [string, string]
  const tell = `qemu-system-x86_64 -machine "$2" -dump-vmstate ${dump}`
  const faulty = faultyQemu(
    folder,
    `case "$*" in *-dump-vmstate*) ${tell}; sed -f ${edit} ${dump} >/proc/self/fd/3; exit;; esac`,
  )
  const vm = await startTinyVm(t, pool, 'states', { qemu: faulty.path, options: ['-device', 'e1000'] })
  const before = qemuPid(vm.name)
  const isNewer = () =>
    faulty.set({ role: 'trial', connection: 1, command: 'greeting', how: 'claim', claim: NEWER })

  writeFileSync(edit, '/"Name": "e1000"/,/"Fields"/s/"version_id": 2/"version_id": 1/')
  isNewer()
  const refused = await updateVmm(pool)
  assert.equal(refused.status, 1)
  assert.match(
    refused.stderr,
    /^guestmemfs: VM states-\d+: its next QEMU reads version 1 of the state of e1000, and the guest's has version 2\n$/,
  )
  assert.equal(qemuPid(vm.name), before)

  writeFileSync(edit, '/"Name": "e1000"/,/"rxbuf_size"/s/"field": "rxbuf_size"/&, "is": "another"/')
  isNewer()
  const same = await updateVmm(pool)
  assert.deepEqual([same.status, same.stderr], [0, ''], 'a name that is not in the stream')

  writeFileSync(edit, '/"field": "rxbuf_size"/,/"size"/s/"size": 4/"size": 8/')
  isNewer()
  const told = await updateVmm(pool)
  assert.equal(told.status, 0, told.stderr)
  assert.match(told.stderr, /describes states otherwise \(e1000: rxbuf_size of 4 bytes\)/)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})
