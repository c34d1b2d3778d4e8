/** A disk that fails in the middle of the write of a domain's record, which may be there all the same. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readDomainRecord } from './domain-record.ts'
import { DomainStrandedError } from './load-domain.ts'
import { saveDomain } from './save-domain.ts'
import { UUID } from './testing/domain-xml.ts'
import type { FakeLibvirt } from './testing/fake-libvirt.ts'
import { expectAtRest, load, newLibvirt, resume, save, TIMEOUT_MS } from './testing/saved-domain.ts'

/**
 * One call fails, the first or the second. A record is written by a rename; then the symlink beside it is
 * made or removed.
 */
function failing(
  t: TestContext,
  name: 'renameSync' | 'rmSync' | 'symlinkSync',
  path: string,
  which: 1 | 2 = 1,
): void {
  const original = fs[name] as (...words: readonly unknown[]) => void
  let calls = 0
  t.mock.method(fs, name, (...words: readonly unknown[]) => {
    if (words.includes(path) && ++calls === which) throw new Error('EIO: i/o error')
    return original(...words)
  })
  syncBuiltinESMExports()
}

function works(t: TestContext): void {
  t.mock.restoreAll()
  syncBuiltinESMExports()
}

const linkOf = ({ paths }: FakeLibvirt): string => join(paths.records, UUID)
const stateOf = ({ paths }: FakeLibvirt) => readDomainRecord(UUID, paths.records)?.state

test('a guest whose record says that it is loaded is put on record as saved before its QEMU is ended', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  const record = await save(libvirt)
  await libvirt.tools.run(['destroy', UUID])
  failing(t, 'rmSync', linkOf(libvirt))
  await assert.rejects(load(libvirt, record), /could not be written: EIO/)
  works(t)
  assert.deepEqual([libvirt.qemu, stateOf(libvirt)], [undefined, 'saved'])
  await resume(libvirt)
  assert.equal(libvirt.tick(), 1)
  expectAtRest(libvirt)
})

test('where no record can be written any more its next QEMU keeps the guest, and is not ended', async (t) => {
  const libvirt = newLibvirt(t)
  libvirt.start()
  const record = await save(libvirt)
  await libvirt.tools.run(['destroy', UUID])
  failing(t, 'rmSync', linkOf(libvirt))
  failing(t, 'renameSync', `${linkOf(libvirt)}.json`, 2)
  await assert.rejects(load(libvirt, record), DomainStrandedError)
  works(t)
  assert.deepEqual([libvirt.qemu?.status, stateOf(libvirt)], ['paused', 'loaded'])
  await resume(libvirt)
  assert.equal(libvirt.tick(), 1)
  assert.equal(libvirt.qemu?.id, 8)
  expectAtRest(libvirt)
})

test('a guest that goes on after its record has failed is not on record as saved by then', async (t) => {
  const libvirt = newLibvirt(t)
  const domain = libvirt.start()
  const { tools } = libvirt
  const states: unknown[] = []
  const run: typeof tools.run = async (words) => {
    if (words[0] === 'resume') states.push(stateOf(libvirt))
    return await tools.run(words)
  }
  failing(t, 'symlinkSync', linkOf(libvirt))
  const saved = saveDomain({ domain, timeoutMs: TIMEOUT_MS, onStep: () => {}, tools: { ...tools, run } })
  await assert.rejects(saved, /could not be written: EIO/)
  works(t)
  assert.deepEqual(states, ['saving'])
  assert.equal(libvirt.tick(), 1)
  expectAtRest(libvirt)
})
