/**
 * Tests of a record that is written where the disk has no room for all of it: the former one stays, whole.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { writeDurably } from '../../src/host/write-durably.ts'

/** More than the file system has, of which the kernel writes a part without an error. */
const TOO_LONG = 'x'.repeat(1_000_000)

test('a record for which there is no room leaves the former one, and nothing else', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'full-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'guestmemfs-test', folder])
  t.after(() => {
    spawnSync('umount', [folder])
    rmdirSync(folder)
  })
  const path = join(folder, 'record.json')
  writeDurably(path, 'former', 0o600)
  assert.throws(() => writeDurably(path, TOO_LONG, 0o600), { code: 'ENOSPC' })
  assert.equal(readFileSync(path, 'utf8'), 'former')
  assert.deepEqual(readdirSync(folder), ['record.json'])
  writeDurably(path, 'next', 0o600)
  assert.equal(readFileSync(path, 'utf8'), 'next')
})
