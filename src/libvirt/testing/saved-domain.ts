/** The save, the load and the resumption of the domain of a `FakeLibvirt`, and what must hold afterwards. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type DomainRecord, readDomainRecord, readDomainRecords } from '../domain-record.ts'
import { loadDomain } from '../load-domain.ts'
import { resumeDomain } from '../resume-domain.ts'
import { saveDomain } from '../save-domain.ts'
import { UUID } from './domain-xml.ts'
import { FakeLibvirt } from './fake-libvirt.ts'

export const TIMEOUT_MS = 5000

export function newLibvirt(t: TestContext, nextId?: number): FakeLibvirt {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'libvirt-')))
  t.after(() => rmSync(root, { recursive: true }))
  return new FakeLibvirt(root, nextId)
}

export function save(libvirt: FakeLibvirt, onStep: (step: string) => void = () => {}): Promise<DomainRecord> {
  const domain = libvirt.domain(libvirt.qemu as NonNullable<typeof libvirt.qemu>)
  return saveDomain({ domain, timeoutMs: TIMEOUT_MS, onStep, tools: libvirt.tools })
}
export const load = (libvirt: FakeLibvirt, record: DomainRecord, onStep: (step: string) => void = () => {}) =>
  loadDomain({ record, timeoutMs: TIMEOUT_MS, onStep, tools: libvirt.tools })
export const resume = (libvirt: FakeLibvirt) =>
  resumeDomain({
    record: readDomainRecord(UUID, libvirt.paths.records) as DomainRecord,
    timeoutMs: TIMEOUT_MS,
    onStep: () => {},
    tools: libvirt.tools,
  })

/** Nothing is left of an update, the guest runs, and an ordinary migration would take all of it. */
export function expectAtRest(libvirt: FakeLibvirt): void {
  assert.deepEqual(readDomainRecords(libvirt.paths.records), { records: [], problems: [] })
  assert.deepEqual(readdirSync(libvirt.paths.records), [])
  assert.deepEqual(readdirSync(join(libvirt.mount, '.libvirt-saved')), [])
  const { qemu } = libvirt
  assert.ok(qemu)
  assert.deepEqual(readdirSync(qemu.folder), ['pc.ram'])
  assert.deepEqual([qemu.status, qemu.mode, qemu.capabilities], ['running', 'normal', ['events']])
}
