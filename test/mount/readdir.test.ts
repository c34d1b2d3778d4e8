/**
 * Tests that a listing is complete: it has each name that stays once, however many are made and removed while
 * it is read.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { cannotMount, mountTestPool } from './support.ts'

const NAMES = 5000

test(`a listing of ${NAMES} names is stable while names come and go`, {
  skip: cannotMount,
  timeout: 90_000,
}, async (t) => {
  const { path } = await mountTestPool(t)
  fs.mkdirSync(path('d'))
  const name = (index: number): string => `name-${index}-${'x'.repeat(index % 200)}`
  const at = (index: number): string => path('d', name(index))
  // All kinds of inodes, most of the names links of one file: the test counts names.
  fs.writeFileSync(path('file'), '')
  for (let index = 0; index < NAMES; index++) {
    if (index % 10 === 0) fs.mkdirSync(at(index))
    else if (index % 10 === 1) fs.symlinkSync('file', at(index))
    else fs.linkSync(path('file'), at(index))
  }
  const stays = new Set<string>()
  for (let index = 0; index < NAMES; index++) if (index % 3 !== 0) stays.add(name(index))

  const seen: string[] = []
  const directory = fs.opendirSync(path('d'), { bufferSize: 32 })
  let changed = 0
  for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
    seen.push(entry.name)
    const kind = entry.isDirectory() ? 0 : entry.isSymbolicLink() ? 1 : 2
    const index = Number(/^name-(\d+)/.exec(entry.name)?.[1] ?? Number.NaN)
    if (Number.isInteger(index)) assert.equal(kind, Math.min(2, index % 10), entry.name)
    // For each name read, one name is removed, before or after it, and one is made; every second of these is
    // renamed.
    const going = changed * 3
    if (going < NAMES) {
      fs.rmSync(at(going), { recursive: true })
      fs.linkSync(path('file'), path('d', `new-${changed}`))
      if (changed % 2 === 0) fs.renameSync(path('d', `new-${changed}`), path('d', `moved-${changed}`))
      changed++
    }
  }
  directory.closeSync()

  assert.ok(changed > 1000)
  const counts = new Map<string, number>()
  for (const each of seen) counts.set(each, (counts.get(each) ?? 0) + 1)
  assert.deepEqual(
    [...stays].filter((each) => counts.get(each) !== 1),
    [],
    'each name that stayed is listed once',
  )
  assert.deepEqual(
    [...counts].filter(([each, count]) => count > 1 && each.startsWith('name-')),
    [],
    'no name is listed twice',
  )
  const end = fs.readdirSync(path('d'))
  assert.equal(end.length, NAMES)
  assert.equal(new Set(end).size, NAMES)
  // The same names with their attributes, which is another request (READDIRPLUS).
  const withTypes = fs.readdirSync(path('d'), { withFileTypes: true }).map((entry) => entry.name)
  assert.deepEqual(withTypes, end)
})
