import assert from 'node:assert/strict'
import {
  existsSync,
  mkdtempSync,
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

test('a state file is private, and takes the place of what had its name without following it', (t) => {
  const folder = folderOf(t)
  const [path, precious] = [join(folder, 'a.vmstate'), join(folder, 'precious')]
  writeFileSync(precious, 'keep')
  symlinkSync(precious, path)
  createStateFile(path, OURS)
  assert.equal(readFileSync(precious, 'utf8'), 'keep')
  assert.equal(statSync(path).mode & 0o7777, 0o600)
  assert.equal(statSync(path).size, 0)
  assert.throws(() => measureStateFile(path), /is empty/)
  removeStateFile(path)
  assert.equal(existsSync(path), false)
  removeStateFile(path)
})

test('every single changed byte and every truncation is found', (t) => {
  const path = join(folderOf(t), 'b.vmstate')
  const bytes = Buffer.from(Array.from({ length: 300 }, (_, index) => index & 0xff))
  writeFileSync(path, bytes)
  const saved: SavedState = {
    path,
    ...measureStateFile(path),
    wasRunning: true,
    stoppedAtMs: 1.5,
    qemuVersion: '10.0.2',
  }
  checkStateFile(saved)
  for (const at of bytes.keys()) {
    const damaged = Buffer.from(bytes)
    damaged[at] = (damaged[at] as number) ^ 0x10
    writeFileSync(path, damaged)
    assert.throws(() => checkStateFile(saved), /checksum/)
  }
  for (const length of [299, 1]) {
    writeFileSync(path, bytes)
    truncateSync(path, length)
    assert.throws(() => checkStateFile(saved), /bytes, 300 were saved/)
  }
})
