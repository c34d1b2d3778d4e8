import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { EISDIR, ENOENT, ENOTDIR, EPERM } from '../values/errno.ts'
import { makeDeviceNode, readDeviceNode, removeNode } from './device-node.ts'

function deviceOf(path: string) {
  const node = readDeviceNode(path)
  return node && 'device' in node ? node.device : node
}

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
  assert.equal(deviceOf(path), '4095:1')
  assert.deepEqual(readdirSync(folder), ['7'])
  assert.equal(removeNode(path), undefined)
  assert.equal(removeNode(path), undefined)
  assert.equal(readDeviceNode(path), undefined)
})

test('numbers are read as the kernel means them', () => {
  assert.equal(deviceOf('/dev/null'), '1:3')
  assert.equal(readDeviceNode('/dev'), undefined)
})

test('no folder, no node', () => {
  assert.equal(makeDeviceNode('/nonexistent/1', '1:3', OWNER), ENOENT)
})

test('what is no folder, or cannot be changed, is an answer', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-node-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'file'), '')
  assert.equal(readDeviceNode(join(folder, 'file/7')), undefined)
  assert.equal(removeNode(join(folder, 'file/7')), undefined)
  assert.equal(makeDeviceNode(join(folder, 'file/7'), '1:3', OWNER), ENOTDIR)
  mkdirSync(join(folder, '8/in the way'), { recursive: true })
  assert.equal(removeNode(join(folder, '8')), EISDIR)
})
