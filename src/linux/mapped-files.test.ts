/**
 * Tests that a mapping is recognised by its file, whatever its path looks like, against the running kernel.
 */
import assert from 'node:assert/strict'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { mapsDevice, mapsFile } from './mapped-files.ts'
import { mapRaw, unmapRaw } from './raw-memory.ts'

const PAGE = 4096

function file(path: string): string {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, '')
  truncateSync(path, PAGE)
  return path
}

/** Maps the file in this process until the test ends. */
function map(t: TestContext, path: string, { writable = true } = {}): void {
  const fd = openSync(path, writable ? 'r+' : 'r') as Fd
  const mapping = mapRaw(fd, PAGE, { writable })
  closeSync(fd)
  assert.ok(!(mapping instanceof Errno))
  t.after(() => unmapRaw(mapping))
}

function scratch(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mapped-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

const isMapped = (path: string): boolean => mapsFile(process.pid, statSync(path))

test('a file counts as mapped where it is itself, writable and shared', (t) => {
  const folder = scratch(t)
  const [ram, other, read] = ['ram', 'other', 'read'].map((name) => file(join(folder, name))) as [
    string,
    string,
    string,
  ]
  map(t, ram)
  map(t, read, { writable: false })
  assert.deepEqual([ram, other, read].map(isMapped), [true, false, false])
  assert.equal(mapsFile(2 ** 30, statSync(ram)), false, 'there is no such process')
})

test('the path of another mapped file that ends in the name of this one does not count', (t) => {
  const folder = scratch(t)
  const ram = file(join(folder, 'ram'))
  const lie = file(join(folder, `lie ${ram}`))
  map(t, lie)
  const lines = readFileSync('/proc/self/maps', 'utf8').split('\n')
  assert.ok(lines.some((line) => line.endsWith(` ${ram}`)))
  assert.deepEqual([lie, ram].map(isMapped), [true, false])
})

test('a device counts by its number, whatever node of it was opened', (t) => {
  const proc = scratch(t)
  const range = '7f0000000000-7f0000200000'
  mkdirSync(join(proc, '7/map_files'), { recursive: true })
  writeFileSync(join(proc, '7/maps'), `${range} rw-s 00000000 00:05 12      /dev/dax0.1\n`)
  symlinkSync('/dev/null', join(proc, '7/map_files', range))
  assert.deepEqual([mapsDevice(7, '1:3', proc), mapsDevice(7, '1:5', proc)], [true, false])
})
