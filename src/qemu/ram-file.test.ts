import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { baseAt } from '../linux/testing/base-at.ts'
import { parseRamMap, prepareRamFile, ramFileBytes } from './ram-file.ts'

const scratch = mkdtempSync(join(tmpdir(), 'ram-file-'))
after(() => rmSync(scratch, { recursive: true }))
const base = baseAt(scratch)
const MIB = 2 ** 20
const us = {
  name: 'us',
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  groups: process.getgroups?.() ?? [],
}
const prepare = (path: string, sizeBytes: number): boolean =>
  prepareRamFile({ id: 'ram', path, sizeBytes }, us, base)
const bytesOf = (path: string) => ramFileBytes(path, base)

test('a RAM file has its size before QEMU opens it, and keeps what it has', () => {
  const path = join(scratch, '-fresh')
  assert.equal(bytesOf(path), undefined)
  assert.equal(prepare(path, 4 * MIB), true)
  assert.equal(bytesOf(path), 4 * MIB)
  assert.equal(statSync(path).mode & 0o7777, 0o600, 'for its user alone')
  assert.equal(prepare(path, 2 * MIB), false)
  assert.equal(statSync(path).size, 4 * MIB, 'a larger file is QEMU’s to judge')
})

test('an empty file gets its size, a smaller one is refused', () => {
  const path = join(scratch, 'empty')
  writeFileSync(path, '', { mode: 0o640 })
  prepare(path, 2 * MIB)
  assert.throws(
    () => prepare(path, 4 * MIB),
    /backend 'ram': .*empty has 2M, its size=4M is more: make both the same/,
  )
  assert.equal(statSync(path).size, 2 * MIB)
  assert.equal(statSync(path).mode & 0o7777, 0o640, 'a mode that was given stays')
})

test('a file that QEMU’s user cannot open is refused before QEMU starts', (t) => {
  if (process.getuid?.() !== 0) return t.skip('is not root')
  const path = join(scratch, 'roots')
  writeFileSync(path, Buffer.alloc(2 * MIB), { mode: 0o600 })
  const nobody = { name: 'nobody', uid: 65534, gid: 65534, groups: [65534] }
  const asNobody = (file: string) => () =>
    prepareRamFile({ id: 'ram', path: file, sizeBytes: 2 * MIB }, nobody, base)
  chmodSync(scratch, 0o755)
  assert.throws(
    asNobody(path),
    /roots cannot be opened by nobody, as whom QEMU runs: 'chown nobody .*roots', or --user/,
  )
  assert.throws(
    asNobody(join(scratch, 'new')),
    /could not be made: permission denied to nobody, as whom QEMU runs: 'chown nobody .*', or --user root/,
  )
})

test('what is no file of a mount is refused', () => {
  const link = join(scratch, 'link')
  symlinkSync('/dev/null', link)
  assert.throws(() => prepare(link, 2 * MIB), /link is not a file/)
  mkdirSync(join(scratch, 'folder'))
  assert.throws(() => prepare(join(scratch, 'folder'), 2 * MIB), /is not a file/)
  assert.throws(() => prepare(join(scratch, 'no/such'), 2 * MIB), /could not be made: no such file/)
  symlinkSync('.', join(scratch, 'swapped'))
  assert.throws(
    () => prepare(join(scratch, 'swapped/file'), 2 * MIB),
    /is not reached: a directory of its path/,
  )
})

test('guestmemfs.map says how QEMU maps the file', () => {
  const parsed = (fields: object) =>
    parseRamMap(JSON.stringify({ ...fields, sizeBytes: 4 * MIB, alignBytes: 2 * MIB }))
  const sizes = { sizeBytes: 4 * MIB, alignBytes: 2 * MIB }
  assert.deepEqual(parsed({ kind: 'file' }), { by: 'passthrough', ...sizes })
  assert.deepEqual(parsed({ kind: 'device', path: '/dev/x', major: 1, minor: 2 }), {
    by: 'dax-node',
    ...sizes,
  })
  assert.deepEqual(parsed({ kind: 'awaited' }), { by: 'incoming', ...sizes })
  assert.deepEqual(parsed({ kind: 'lost' }), { by: 'lost', ...sizes })
  const window = { path: '/dev/mem', offsetBytes: 2 ** 32 }
  assert.deepEqual(parsed({ kind: 'window', ...window }), { by: 'devmem', ...window, ...sizes })
  assert.throws(() => parsed({ kind: 'window', path: '/dev/mem' }))
  assert.throws(() => parsed({ kind: 'elsewhere' }))
})
