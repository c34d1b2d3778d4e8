import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { linkSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { EAGAIN, Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { close, duplicateOver } from './descriptors.ts'
import { isLocked } from './own-lock.ts'
import { holdRange, isRangeLockLink, lockRange } from './range-lock.ts'

const options = { skip: process.getuid?.() === 0 ? false : 'needs root' }
/** Where no machine has memory. */
const START = 2 ** 52 + process.pid * 4096
const range = { start: START, lengthBytes: 1024 }
const TRY = [process.execPath, join(import.meta.dirname, 'testing/try-range-lock.ts')] as const
/** Tries for the last byte of `range`. */
const LAST = [...TRY, String(START + 1023), '1']

/** The lines that a program prints. */
const output = ([program = '', ...words]: readonly string[]): string[] =>
  execFileSync(program, words, { encoding: 'utf8' }).trim().split('\n')

/** The answer to `LAST`, after a shell command, in new namespaces. */
const answerIn = (namespaces: readonly string[], before = ':'): string[] =>
  output(['unshare', ...namespaces, 'sh', '-ec', `${before}; exec "$@"`, 'sh', ...LAST])

function locked(): Fd {
  const lock = lockRange(range)
  assert.ok(!(lock instanceof Errno), String(lock))
  return lock
}

test('a range is of one open file until its last copy is closed; others are free', options, () => {
  const lock = locked()
  assert.ok(isLocked('self', lock))
  assert.equal(lockRange({ start: START + 1023, lengthBytes: 4096 }), EAGAIN)
  assert.equal(holdRange(lock, range), undefined)
  const next = lockRange({ start: START + 1024, lengthBytes: 4096 })
  assert.ok(!(next instanceof Errno))
  assert.equal(holdRange(next, range), EAGAIN)
  const copy = 400 as Fd
  duplicateOver(lock, copy)
  close(lock)
  assert.deepEqual(output(LAST), ['EAGAIN'])
  close(copy)
  assert.deepEqual(output(LAST), ['locked'])
  close(next)
})

test('no mount namespace has another file, and nobody can take this one away', options, () => {
  const lock = locked()
  assert.deepEqual(answerIn(['--mount']), ['EAGAIN'])
  const path = '/sys/bus/platform/drivers_probe'
  assert.ok(isRangeLockLink(path))
  for (const harm of [
    () => rmSync(path),
    () => renameSync(path, `${path}.was`),
    () => linkSync(path, `${path}.too`),
  ])
    assert.throws(harm, /EPERM/)
  assert.equal(statSync(path).mode & 0o777, 0o200, 'a user who could open it could lock it')
  // A file that is mounted over it is no sysfs, and is not taken for it.
  const over = `f=$(mktemp); mount --bind $f ${path}; rm $f`
  assert.match(answerIn(['--mount'], over)[0] ?? '', /^(ENOENT|EAGAIN)$/)
  close(lock)
})

test('a network namespace that has a sysfs of its own is locked out by that of process 1', options, () => {
  const own = [
    'unshare',
    '--mount',
    '--net',
    'sh',
    '-ec',
    'mount -t sysfs sysfs /sys; exec "$@"',
    'sh',
    ...LAST,
  ]
  // In a pid namespace, whose process 1 holds the lock and is in the machine's network namespace.
  const holder = [...TRY, String(START), '1024', ...own]
  const namespaces = ['--pid', '--fork', '--mount', '--mount-proc']
  assert.deepEqual(output(['unshare', ...namespaces, ...holder]), ['locked', 'EAGAIN'])
})
