import assert from 'node:assert/strict'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { baseAt } from '../linux/testing/base-at.ts'
import { ELOOP } from '../values/errno.ts'
import { CorruptBytesError } from '../values/errors.ts'
import {
  checkStateFile,
  createStateFile,
  measureStateFile,
  removeStateFile,
  type SavedState,
} from './saved-state.ts'

const OURS = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'state-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('a state file is private, and replaces what had its name without following it', (t) => {
  const folder = folderOf(t)
  const base = baseAt(folder)
  const [path, precious] = [join(folder, 'a.vmstate'), join(folder, 'precious')]
  writeFileSync(precious, 'keep')
  symlinkSync(precious, path)
  createStateFile(path, OURS, base)
  assert.equal(readFileSync(precious, 'utf8'), 'keep')
  assert.equal(statSync(path).mode & 0o7777, 0o600)
  assert.equal(statSync(path).size, 0)
  assert.throws(() => measureStateFile(path, base), /is empty/)
  assert.equal(removeStateFile(path, base), undefined)
  assert.equal(existsSync(path), false)
  assert.equal(removeStateFile(path, base), undefined)
})

test('in a directory that was swapped for a symlink nothing is made, read or removed', (t) => {
  const folder = folderOf(t)
  const [base, outside] = [baseAt(folder), folderOf(t)]
  symlinkSync(outside, join(folder, 'theirs'))
  const path = join(folder, 'theirs', 'a.vmstate')
  assert.throws(
    () => createStateFile(path, OURS, base),
    /a.vmstate could not be made: a directory of its path/,
  )
  assert.deepEqual(readdirSync(outside), [])
  writeFileSync(join(outside, 'a.vmstate'), 'precious')
  assert.throws(() => measureStateFile(path, base), CorruptBytesError)
  assert.equal(removeStateFile(path, base), ELOOP)
  assert.deepEqual(readdirSync(outside), ['a.vmstate'])
})

test('every single changed byte and every truncation is found', (t) => {
  const folder = folderOf(t)
  const base = baseAt(folder)
  const path = join(folder, 'b.vmstate')
  const bytes = Buffer.from(Array.from({ length: 300 }, (_, index) => index & 0xff))
  writeFileSync(path, bytes)
  const saved: SavedState = {
    path,
    ...measureStateFile(path, base),
    wasRunning: true,
    stoppedAtMs: 1.5,
    qemuVersion: '10.0.2',
  }
  checkStateFile(saved, base)
  for (const at of bytes.keys()) {
    const damaged = Buffer.from(bytes)
    damaged[at] = (damaged[at] as number) ^ 0x10
    writeFileSync(path, damaged)
    assert.throws(() => checkStateFile(saved, base), /checksum/)
  }
  for (const length of [299, 1]) {
    writeFileSync(path, bytes)
    truncateSync(path, length)
    assert.throws(() => checkStateFile(saved, base), /bytes, 300 were saved/)
  }
})
