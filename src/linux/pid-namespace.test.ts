/** What hides processes, by the links and options that the kernel shows. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hiddenProcesses } from './pid-namespace.ts'

const INITIAL = 'pid:[4026531836]'
const HOST = { own: INITIAL, isForeign: false, options: ['rw'], mayTrace: true }

test('a host shows every process, and so does hidepid to a process that may trace', () => {
  assert.equal(hiddenProcesses(HOST), undefined)
  assert.equal(hiddenProcesses({ ...HOST, options: ['rw', 'hidepid=invisible'] }), undefined)
  assert.equal(hiddenProcesses({ ...HOST, options: ['rw', 'hidepid=off'], mayTrace: false }), undefined)
})

test('what hides processes is named', () => {
  for (const [view, says] of [
    [{ own: 'pid:[4026532000]' }, /pid namespace of its own/],
    [{ isForeign: true, own: 'pid:[4026532000]' }, /of another pid namespace/],
    [{ options: ['rw', 'subset=pid'] }, /subset=pid/],
    [{ options: ['rw', 'hidepid=2'], mayTrace: false }, /hidepid=2/],
    [{ options: ['rw', 'hidepid=ptraceable'], mayTrace: false }, /hidepid=ptraceable/],
  ] as const)
    assert.match(hiddenProcesses({ ...HOST, ...view }) ?? '', says)
})
