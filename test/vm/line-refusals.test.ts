/**
 * Tests of what `run` does with a command line of which an update would lose a part, or take the guest's
 * time: refused before anything starts, or not repeated.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { guestmemfs } from '../mount/support.ts'
import {
  listVms,
  monitor,
  mountVmPool,
  QEMU,
  qemuPid,
  ramOptions,
  SMALL_MACHINE,
  scratchFolder,
  startTinyVm,
  updateVmm,
  type VmPool,
  vmName,
} from './support.ts'

/** Daemonized: one that is not refused must not hold up the test. */
async function expectRefused(pool: VmPool, line: readonly string[], words: RegExp): Promise<void> {
  const name = vmName('refused')
  const run = ['run', '--name', name, '--pool', pool.mountPoint, '--', QEMU, ...line, '-daemonize']
  const { status, stderr } = await guestmemfs(...run)
  if (status === 0) process.kill(qemuPid(name), 'SIGKILL')
  assert.equal(status, 1, 'it was started')
  assert.match(stderr, words)
  assert.deepEqual(await listVms(pool), [])
}

test("the machine's own RAM in no pool, with an NVDIMM in one", async (t) => {
  const pool = await mountVmPool(t)
  const nvdimm = `memory-backend-file,id=nv,size=64M,mem-path=${pool.path('nvdimm')},share=on`
  const line = [
    ...[...SMALL_MACHINE, '-machine', 'nvdimm=on', '-m', '64M,slots=1,maxmem=256M'],
    ...['-object', nvdimm, '-device', 'nvdimm,memdev=nv'],
  ]
  await expectRefused(pool, line, /the machine's own RAM would be copied while the guest is stopped/)
})

test('options in a file, which an update would not see', async (t) => {
  const pool = await mountVmPool(t)
  const file = join(scratchFolder(t), 'machine.cfg')
  writeFileSync(file, '[machine]\n  type = "pc-i440fx-8.2"\n')
  const line = ['-readconfig', file, ...SMALL_MACHINE.filter((word) => !['-machine', 'q35'].includes(word))]
  await expectRefused(
    pool,
    [...line, ...ramOptions(pool.path('ram'))],
    /-readconfig takes options from a file/,
  )
})

test('a user and a root directory that QEMU would take by itself', async (t) => {
  const pool = await mountVmPool(t)
  for (const [option, words] of [
    ['user=nobody', /-run-with user= changes the user without a record/],
    ['chroot=/var/empty', /-run-with chroot= hides the mount from QEMU/],
  ] as const)
    await expectRefused(pool, [...SMALL_MACHINE, ...ramOptions(pool.path('ram')), '-run-with', option], words)
})

test('a confidential guest, before its QEMU is started, with the reason', async (t) => {
  const pool = await mountVmPool(t)
  const reason = /in no file system: an update of it would need guest_memfd preserved across kexec/
  const snp = 'sev-snp-guest,id=cgs0,cbitpos=51,reduced-phys-bits=1'
  for (const more of [
    ['-object', snp],
    ['-object', snp, '-machine', 'confidential-guest-support=cgs0'],
    ['-object', '{"qom-type":"tdx-guest","id":"cgs0"}'],
    ['-machine', 'memory-encryption=cgs0'],
  ])
    await expectRefused(pool, [...SMALL_MACHINE, ...ramOptions(pool.path('ram')), ...more], reason)
  const quoted = "{'qom-type':'tdx-guest','id':'cgs0'}"
  const line = [...SMALL_MACHINE, ...ramOptions(pool.path('ram')), '-object', quoted]
  await expectRefused(pool, line, /-object \{'qom-type'.* is no JSON: write it with double quotes/)
  assert.deepEqual(readdirSync(pool.mountPoint), [], 'no RAM file was made')
})

const argumentsOf = (name: string): string => readFileSync(`/proc/${qemuPid(name)}/cmdline`, 'latin1')

test('RAM is preallocated at the first start alone', async (t) => {
  const pool = await mountVmPool(t)
  const ram = `memory-backend-file,id=ram,size=64M,mem-path=${pool.path('full')},share=on,prealloc=on`
  const options = ['-object', ram, '-machine', 'memory-backend=ram']
  const vm = await startTinyVm(t, pool, 'full', { ramOptions: ['-m', '64M'], options })
  assert.match(argumentsOf(vm.name), /prealloc=on/)
  for (const _ of [1, 2]) {
    assert.equal((await updateVmm(pool)).status, 0)
    assert.doesNotMatch(argumentsOf(vm.name), /prealloc=on/)
  }
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('a GUID of its own for each start is made once: another one tells the guest that it is a copy', async (t) => {
  const pool = await mountVmPool(t)
  const options = ['-device', 'vmgenid,guid=auto,id=generation']
  const vm = await startTinyVm(t, pool, 'original', { options })
  const guid = () => monitor(vm.name, 'query-vm-generation-id')
  const before = await guid()
  assert.equal((await updateVmm(pool)).status, 0)
  assert.deepEqual(await guid(), before)
})
