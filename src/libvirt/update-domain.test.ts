/** The save and the start of a domain, against a libvirt of the tests that calls the real hook. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { GuestStoppedError } from '../qemu/save.ts'
import { type DomainRecord, readDomainRecord, writeDomainRecord } from './domain-record.ts'
import { cancelDomainSave, saveDomain } from './save-domain.ts'
import { UUID } from './testing/domain-xml.ts'
import type { FakeLibvirt } from './testing/fake-libvirt.ts'
import { expectAtRest, load, newLibvirt, resume, save, TIMEOUT_MS } from './testing/saved-domain.ts'

test('a guest goes on in its next QEMU where it was stopped, with the very same RAM', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  for (let count = 1; count <= 16; count++) assert.equal(libvirt.tick(), count)
  const steps: string[] = []
  const record = await save(libvirt, (step) => steps.push(step))
  assert.equal(record.state, 'saved')
  assert.equal(libvirt.tick(), 16)
  await libvirt.tools.run(['destroy', UUID])
  const { qemuVersion, unset } = await load(libvirt, record, (step) => steps.push(step))
  assert.deepEqual([qemuVersion, unset], ['10.0.13', []])
  assert.deepEqual(steps, ['stop', 'save', 'start', 'load', 'continue'])
  assert.equal(libvirt.tick(), 17)
  assert.equal(libvirt.qemu?.id, 8)
  expectAtRest(libvirt)
  // And once more, with XML that waits already.
  const again = await save(libvirt)
  await libvirt.tools.run(['destroy', UUID])
  await load(libvirt, again)
  assert.equal(libvirt.tick(), 18)
  expectAtRest(libvirt)
})

test('after a kexec it goes on as well, in a folder with another id', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  libvirt.tick()
  await save(libvirt)
  const { folder } = libvirt.qemu as { folder: string }
  libvirt.reboot()
  // Of the former kernel; `before-libvirt` removes it.
  rmSync(folder, { recursive: true })
  // Autostart comes first, and is refused.
  assert.throws(() => libvirt.start(), /its guest is saved by a live update/)
  await resume(libvirt)
  assert.equal(libvirt.tick(), 2)
  expectAtRest(libvirt)
})

test('a save that fails leaves the guest as it was, and nothing behind', async (t) => {
  for (const command of ['migrate', 'migrate-set-capabilities']) {
    const libvirt = newLibvirt(t)
    libvirt.start()
    libvirt.failing.set(command, 'a device cannot be migrated')
    const found = save(libvirt)
    await assert.rejects(found, /a device cannot be migrated/)
    libvirt.failing.clear()
    assert.equal(libvirt.tick(), 1)
    assert.equal(existsSync(join(libvirt.paths.records, `${UUID}.json`)), false)
    assert.equal(libvirt.qemu?.status, 'running')
  }
})

/** libvirt's tools, in which another client of libvirt is quicker than the save. */
const meanwhile = (libvirt: FakeLibvirt, change: (qemu: { xml: string; folder: string }) => void) => ({
  ...libvirt.tools,
  run: (words: readonly string[]) => {
    if (words[2]?.includes('"migrate"')) change(libvirt.qemu as NonNullable<typeof libvirt.qemu>)
    return libvirt.tools.run(words)
  },
})

test('a machine that is changed while it is saved is not saved: its state is of another one', async (t) => {
  const changes: ((qemu: { xml: string; folder: string }) => void)[] = [
    (qemu) => {
      qemu.xml = qemu.xml.replace('web.qcow2', 'web.snapshot')
    },
    ({ folder }) => {
      rmSync(join(folder, 'pc.ram'))
      writeFileSync(join(folder, 'pc.ram'), '0')
    },
  ]
  for (const change of changes) {
    const libvirt = newLibvirt(t)
    const domain = libvirt.start()
    const saved = saveDomain({
      domain,
      timeoutMs: TIMEOUT_MS,
      onStep: () => {},
      tools: meanwhile(libvirt, change),
    })
    await assert.rejects(saved, /its machine was changed while it was saved: try again$/)
    assert.equal(libvirt.tick(), 1)
    expectAtRest(libvirt)
  }
})

test('what its guest changes in its XML is no other machine, and the record has the XML of the stop', async (t) => {
  const libvirt = newLibvirt(t)
  const domain = libvirt.start()
  const tools = meanwhile(libvirt, (qemu) => {
    qemu.xml = qemu.xml.replace("state='connected'", "state='disconnected'")
  })
  const { state, xml } = await saveDomain({ domain, timeoutMs: TIMEOUT_MS, onStep: () => {}, tools })
  assert.equal(state, 'saved')
  assert.match(xml, /state='disconnected'/)
})

test('a saved guest is continued in the QEMU that it has, as where another one fails', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  const record = await save(libvirt)
  assert.equal(await cancelDomainSave(record, libvirt.tools), undefined)
  assert.equal(libvirt.tick(), 1)
  expectAtRest(libvirt)
})

test('a saved guest whose QEMU ends while it is to be continued there is still saved', async (t) => {
  for (const command of ['migrate_cancel', 'query-status']) {
    const libvirt = newLibvirt(t)
    libvirt.start()
    const record = await save(libvirt)
    libvirt.failing.set(command, 'it has ended')
    await assert.rejects(cancelDomainSave(record, libvirt.tools), /it has ended/)
    libvirt.failing.clear()
    await libvirt.tools.run(['destroy', UUID])
    await resume(libvirt)
    assert.equal(libvirt.tick(), 1)
    expectAtRest(libvirt)
  }
})

test('a guest that can be neither saved nor continued is reported as stopped', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  libvirt.failing.set('migrate', 'no')
  libvirt.failing.set('migrate_cancel', 'no')
  await assert.rejects(save(libvirt), GuestStoppedError)
  libvirt.failing.clear()
  await resume(libvirt)
  expectAtRest(libvirt)
})

test('where its next QEMU does not come or does not take it, it stays saved, and is resumed later', async (t) => {
  for (const [command, words] of [
    ['create', 'cannot find the disk'],
    ['migrate-incoming', 'load of migration failed'],
    ['qom-get', 'gone'],
  ] as const) {
    const libvirt = newLibvirt(t)
    libvirt.start()
    const record = await save(libvirt)
    await libvirt.tools.run(['destroy', UUID])
    libvirt.failing.set(command, words)
    await assert.rejects(load(libvirt, record), new RegExp(words))
    assert.equal(libvirt.qemu, undefined)
    assert.equal(readDomainRecord(UUID, libvirt.paths.records)?.state, 'saved')
    libvirt.failing.clear()
    assert.throws(() => libvirt.start(), /saved by a live update/)
    await resume(libvirt)
    assert.equal(libvirt.tick(), 1)
    expectAtRest(libvirt)
  }
})

test('a libvirt that does not call the hook is found out before the guest is loaded', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  const record = await save(libvirt)
  await libvirt.tools.run(['destroy', UUID])
  libvirt.hasHook = false
  await assert.rejects(load(libvirt, record), /libvirt did not call the hook/)
  libvirt.hasHook = true
  await resume(libvirt)
  assert.equal(libvirt.tick(), 1)
  expectAtRest(libvirt)
})

test('RAM that is another is not loaded, and RAM that is gone is named', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  const record = await save(libvirt)
  await libvirt.tools.run(['destroy', UUID])
  const other: DomainRecord = { ...record, ram: record.ram.map((ram) => ({ ...ram, inode: ram.inode + 1 })) }
  await assert.rejects(load(libvirt, other), /its saved RAM .*pc\.ram is not there/)
  rmSync(join(libvirt.mount, '.libvirt-saved', UUID, 'guestmemfs-state'))
  await assert.rejects(load(libvirt, record), /state file/)
  assert.equal(libvirt.qemu, undefined)
})

test('a paused guest stays paused', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  const qemu = libvirt.qemu as { status: string }
  qemu.status = 'paused'
  const record = await save(libvirt)
  assert.equal(record.wasRunning, false)
  await libvirt.tools.run(['destroy', UUID])
  await load(libvirt, record)
  assert.equal(libvirt.qemu?.status, 'paused')
  assert.ok(!libvirt.calls.includes('resume'))
})

test('wherever its command was killed, resume brings the guest back, and loads no state twice', async (t) => {
  const after = async (killed: (libvirt: FakeLibvirt, record: DomainRecord) => Promise<void> | void) => {
    const libvirt = newLibvirt(t)
    libvirt.start()
    const record = await save(libvirt)
    await killed(libvirt, record)
    await resume(libvirt)
    assert.equal(libvirt.tick(), 1)
    expectAtRest(libvirt)
  }
  const records = (libvirt: FakeLibvirt): string => libvirt.paths.records
  // Before the record said that it is saved.
  await after((libvirt, record) =>
    writeDomainRecord({ ...record, state: 'saving', saved: null }, records(libvirt)),
  )
  // Before its old QEMU was ended.
  await after(() => {})
  // When that had ended.
  await after(async (libvirt) => void (await libvirt.tools.run(['destroy', UUID])))
  // When its next one waits, and when that has the guest but the record does not say so.
  for (const status of ['inmigrate', 'paused'])
    await after(async (libvirt, record) => {
      await libvirt.tools.run(['destroy', UUID])
      libvirt.failing.set('resume', 'killed')
      libvirt.failing.set('cont', 'killed')
      await assert.rejects(load(libvirt, record), /killed/)
      libvirt.failing.clear()
      const qemu = libvirt.qemu as { status: string; migration: string }
      qemu.status = status
      if (status === 'paused') return
      qemu.migration = 'none'
      writeDomainRecord(record, records(libvirt))
    })
})

test('a guest that was not saved and whose QEMU has ended leaves nothing to resume', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  const record = await save(libvirt)
  writeDomainRecord({ ...record, state: 'saving', saved: null }, libvirt.paths.records)
  await libvirt.tools.run(['destroy', UUID])
  await assert.rejects(resume(libvirt), /nothing is left to resume/)
  assert.deepEqual(readdirSync(libvirt.paths.records), [])
  libvirt.start()
  assert.equal(libvirt.tick(), 1)
})
