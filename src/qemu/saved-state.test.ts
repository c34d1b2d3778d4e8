import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
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
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { baseAt } from '../linux/testing/base-at.ts'
import { ELOOP } from '../values/errno.ts'
import { CorruptBytesError } from '../values/errors.ts'
import {
  CONSUMED,
  checkStateFile,
  createStateFile,
  isConsumed,
  MAX_STATE_BYTES,
  measureStateFile,
  removeStateFile,
  type SavedState,
} from './saved-state.ts'

const IN_TIME_MS = 60_000
const OURS = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'state-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('a state file is private, and replaces what had its name without following it', async (t) => {
  const folder = folderOf(t)
  const base = baseAt(folder)
  const [path, precious] = [join(folder, 'a.vmstate'), join(folder, 'precious')]
  writeFileSync(precious, 'keep')
  symlinkSync(precious, path)
  createStateFile(path, OURS, base)
  assert.equal(readFileSync(precious, 'utf8'), 'keep')
  assert.equal(statSync(path).mode & 0o7777, 0o600)
  assert.equal(statSync(path).size, 0)
  await assert.rejects(measureStateFile(path, IN_TIME_MS, base), /is empty/)
  assert.equal(removeStateFile(path, base), undefined)
  assert.equal(existsSync(path), false)
  assert.equal(removeStateFile(path, base), undefined)
})

test('in a directory that was swapped for a symlink nothing is made, read or removed', async (t) => {
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
  await assert.rejects(measureStateFile(path, IN_TIME_MS, base), CorruptBytesError)
  assert.equal(removeStateFile(path, base), ELOOP)
  assert.deepEqual(readdirSync(outside), ['a.vmstate'])
})

test('every single changed byte and every truncation is found', async (t) => {
  const folder = folderOf(t)
  const base = baseAt(folder)
  const path = join(folder, 'b.vmstate')
  const bytes = Buffer.from(Array.from({ length: 300 }, (_, index) => index & 0xff))
  writeFileSync(path, bytes)
  const saved: SavedState = {
    path,
    ...(await measureStateFile(path, IN_TIME_MS, base)),
    wasRunning: true,
    stoppedAtMs: 1.5,
    qemuVersion: '10.0.2',
  }
  await checkStateFile(saved, IN_TIME_MS, base)
  for (const at of bytes.keys()) {
    const damaged = Buffer.from(bytes)
    damaged[at] = (damaged[at] as number) ^ 0x10
    writeFileSync(path, damaged)
    await assert.rejects(checkStateFile(saved, IN_TIME_MS, base), /checksum/)
  }
  for (const length of [299, 1]) {
    writeFileSync(path, bytes)
    truncateSync(path, length)
    await assert.rejects(checkStateFile(saved, IN_TIME_MS, base), /bytes, 300 were saved/)
  }
})

test('a file that another process makes larger all the time is read to the size that it had', async (t) => {
  const folder = folderOf(t)
  const path = join(folder, 'c.vmstate')
  writeFileSync(path, Buffer.alloc(4 << 20, 1))
  const words = ['-c', 'for each in $(seq 640); do head -c 8388608 /dev/zero >>"$0"; done', path]
  const writer = spawn('sh', words, { stdio: 'ignore' })
  try {
    const grown = statSync(path).size
    while (statSync(path).size === grown) await sleep(5)
    await assert.rejects(
      measureStateFile(path, IN_TIME_MS, baseAt(folder)),
      /c.vmstate (changes while it is read|has \d+ bytes)$/,
    )
  } finally {
    // Before the folder is removed, in which it would make the file again.
    writer.kill('SIGKILL')
    await once(writer, 'exit')
  }
})

test('a file that takes longer to read than there is time is refused', async (t) => {
  const folder = folderOf(t)
  const path = join(folder, 'd.vmstate')
  writeFileSync(path, '')
  truncateSync(path, MAX_STATE_BYTES)
  const began = performance.now()
  await assert.rejects(measureStateFile(path, 50, baseAt(folder)), /could not be read in time$/)
  assert.ok(performance.now() - began < 2000)
})

test('the mark of a state that a guest went on from, and a part of it, keep every QEMU from loading it', async (t) => {
  const folder = folderOf(t)
  const base = baseAt(folder)
  const path = join(folder, 'state')
  const bytes = Buffer.from('QEVM and the state of all devices')
  const saved: SavedState = {
    path,
    sizeBytes: bytes.length,
    crc32: crc32(bytes),
    wasRunning: true,
    stoppedAtMs: 0,
    qemuVersion: '10.0.0',
  }
  assert.equal(isConsumed(path, base), false, 'it is not there')
  for (let written = 0; written <= CONSUMED.length; written++) {
    writeFileSync(path, Buffer.concat([CONSUMED.subarray(0, written), bytes.subarray(written)]))
    assert.equal(isConsumed(path, base), written === CONSUMED.length)
    if (written > 0) await assert.rejects(checkStateFile(saved, IN_TIME_MS, base), /checksum/)
    else await checkStateFile(saved, IN_TIME_MS, base)
  }
  writeFileSync(path, CONSUMED.subarray(0, 3))
  assert.equal(isConsumed(path, base), false)
})
