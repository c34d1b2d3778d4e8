/** What a resumption finds where others have used libvirt meanwhile, against a libvirt of the tests. */
import assert from 'node:assert/strict'
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readDomainRecord, writeDomainRecord } from './domain-record.ts'
import { UUID } from './testing/domain-xml.ts'
import { expectAtRest, load, newLibvirt, resume, save } from './testing/saved-domain.ts'

test('the folder of another domain, which has the path of the old one by now, is left as it is', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  const record = await save(libvirt)
  const theirs = ['guestmemfs-state', 'pc.ram']
  const others = (): string[] => readdirSync(record.folder).sort()
  const another = (): void => {
    mkdirSync(record.folder)
    for (const name of theirs) writeFileSync(join(record.folder, name), 'of another domain')
  }
  // libvirt's ids have begun again, in this kernel or in the next one.
  for (const bootId of [record.bootId, 'of the former kernel']) {
    await libvirt.tools.run(['destroy', UUID])
    another()
    await load(libvirt, { ...record, bootId })
    assert.deepEqual(others(), theirs)
    assert.equal(readFileSync(join(record.folder, 'pc.ram'), 'latin1'), 'of another domain')
    rmSync(record.folder, { recursive: true })
    if (bootId === record.bootId) await save(libvirt)
  }
  // Nor where nothing is left of the guest.
  await libvirt.tools.run(['destroy', UUID])
  another()
  writeDomainRecord({ ...record, state: 'saving', saved: null }, libvirt.paths.records)
  await assert.rejects(resume(libvirt), /nothing is left to resume/)
  assert.deepEqual(others(), theirs)
})

test('a saved guest is kept where libvirt has started its domain anew, also under the id that it had', async (t) => {
  for (const [first, later] of [
    [7, 8],
    [1, 1],
  ] as const) {
    const libvirt = newLibvirt(t, first)
    libvirt.start()
    libvirt.tick()
    await save(libvirt)
    await libvirt.tools.run(['destroy', UUID])
    if (first === 1) libvirt.reboot()
    libvirt.hasHook = false
    assert.equal(libvirt.start().id, later)
    await assert.rejects(
      resume(libvirt),
      /^UsageError: libvirt has started it anew, without its saved guest: /,
    )
    assert.equal(readDomainRecord(UUID, libvirt.paths.records)?.state, 'saved')
    assert.equal(libvirt.tick(), 1)
    libvirt.hasHook = true
    await libvirt.tools.run(['destroy', UUID])
    await resume(libvirt)
    assert.equal(libvirt.tick(), 2)
    expectAtRest(libvirt)
  }
})

test('a QEMU that waits under the id of the old one is no old one: the guest is loaded into another', async (t) => {
  const libvirt = newLibvirt(t, 1)
  libvirt.start()
  libvirt.tick()
  const record = await save(libvirt)
  await libvirt.tools.run(['destroy', UUID])
  // libvirt's daemon is started again, and its ids begin again.
  libvirt.reboot()
  for (const command of ['query-version', 'destroy']) libvirt.failing.set(command, 'killed')
  await assert.rejects(load(libvirt, record), /killed/)
  libvirt.failing.clear()
  assert.deepEqual([libvirt.qemu?.id, libvirt.qemu?.status], [1, 'inmigrate'])
  await resume(libvirt)
  assert.equal(libvirt.qemu?.id, 2)
  assert.equal(libvirt.tick(), 2)
  expectAtRest(libvirt)
})

test('a record that the hook has put aside is put back by its name alone', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  await save(libvirt)
  await libvirt.tools.run(['destroy', UUID])
  rmSync(join(libvirt.paths.records, UUID))
  await resume(libvirt)
  assert.equal(libvirt.tick(), 1)
  expectAtRest(libvirt)
})

test('a guest that was not saved and whose domain was started anew is not continued in that', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  const record = await save(libvirt)
  await libvirt.tools.run(['destroy', UUID])
  writeDomainRecord({ ...record, state: 'saving', saved: null }, libvirt.paths.records)
  libvirt.start()
  const qemu = libvirt.qemu as NonNullable<typeof libvirt.qemu>
  qemu.status = 'paused'
  await assert.rejects(resume(libvirt), /nothing is left to resume/)
  assert.equal(qemu.status, 'paused')
  assert.deepEqual(readdirSync(libvirt.paths.records), [])
})

test('the folder of the old QEMU that libvirt could not remove goes with the load', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  const record = await save(libvirt)
  await libvirt.tools.run(['destroy', UUID])
  mkdirSync(record.folder)
  for (const name of ['pc.ram', 'guestmemfs-state'])
    linkSync(join(libvirt.mount, '.libvirt-saved', UUID, name), join(record.folder, name))
  await load(libvirt, record)
  assert.equal(existsSync(record.folder), false)
  expectAtRest(libvirt)
})
