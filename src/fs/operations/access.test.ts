import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fixture, ok } from '../testing/fixture.ts'

const at = (seconds: number, nanoseconds = 0) => ({ now: { seconds, nanoseconds } })

test('relative: after each change once, and after a day', () => {
  const { fs, rq, file, stat, journal } = fixture()
  const ino = file('file')
  const access = (seconds: number) => {
    fs.accessed(rq(at(seconds)), ino, 'relative')
    return stat(ino).atime.seconds
  }
  const { ctime } = stat(ino)
  assert.equal(access(5000), 5000, 'it was as old as the last change')
  assert.equal(access(5001), 5000)
  ok(fs.setAttributes(rq(at(6000)), ino, { mode: 0o600 }))
  assert.equal(access(6001), 6001)
  ok(fs.write(rq(at(6001)), ino, 0, Buffer.from('x')))
  assert.equal(access(6002), 6002, 'in the same second')
  const records = journal.records.length
  assert.equal(access(6002 + 86_399), 6002)
  assert.equal(journal.records.length, records)
  assert.equal(access(6002 + 86_400), 6002 + 86_400)
  assert.ok(stat(ino).ctime.seconds === 6001 && ctime.seconds < 6000, 'no other time moves')
})

test('strict: each time; never while frozen or where there is no room; and no read fails for it', () => {
  const { fs, rq, file, stat, journal } = fixture()
  const ino = file('file')
  const access = (seconds: number) => {
    fs.accessed(rq(at(seconds)), ino, 'strict')
    return stat(ino).atime.seconds
  }
  assert.deepEqual([access(5000), access(5001), access(4000)], [5000, 5001, 4000])
  const records = journal.records.length
  assert.equal(access(4000), 4000)
  assert.equal(journal.records.length, records, 'the same time is no record')
  journal.limit = records
  assert.equal(access(7000), 4000)
  journal.limit = Number.POSITIVE_INFINITY
  assert.equal(fs.freeze(rq()), undefined)
  assert.equal(access(8000), 4000)
  fs.accessed(rq(), 999 as typeof ino, 'strict')
})
