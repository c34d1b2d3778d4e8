import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ENOENT, EPERM } from '../values/errno.ts'
import { makeDeviceNode, readDeviceNode, removeNode } from './device-node.ts'

const OWNER = { uid: 12, gid: 34, mode: 0o640 }

test('a node has its owner and mode, replaces what was there, and goes', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-node-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, '7')
  writeFileSync(path, 'something else')
  const failed = makeDeviceNode(path, '259:70000', OWNER)
  if (failed === EPERM) return t.skip('mknod needs root')
  assert.equal(failed, undefined)
  assert.deepEqual(readDeviceNode(path), { device: '259:70000', ...OWNER })
  assert.equal(statSync(path).isCharacterDevice(), true)

  assert.equal(makeDeviceNode(path, '4095:1', { ...OWNER, mode: 0o600 }), undefined)
  assert.equal(readDeviceNode(path)?.device, '4095:1')
  assert.deepEqual(readdirSync(folder), ['7'])
  removeNode(path)
  removeNode(path)
  assert.equal(readDeviceNode(path), undefined)
})

test('numbers are read as the kernel means them', () => {
  assert.equal(readDeviceNode('/dev/null')?.device, '1:3')
  assert.equal(readDeviceNode('/dev'), undefined)
})

test('no folder, no node', () => {
  assert.equal(makeDeviceNode('/nonexistent/1', '1:3', OWNER), ENOENT)
})
