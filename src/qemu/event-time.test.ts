import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventTime } from './event-time.ts'

const at = (atMs: number) => ({ name: 'STOP', data: {}, atMs })

test('an event between the command and now has the time that QEMU gives it, others the nearer end', () => {
  const sinceMs = Date.now() - 1000
  assert.equal(eventTime(at(sinceMs + 0.25), sinceMs), sinceMs + 0.25)
  assert.equal(eventTime(at(sinceMs - 0.25), sinceMs), sinceMs)
  assert.equal(eventTime(at(0), sinceMs), sinceMs)
  assert.equal(eventTime(undefined, sinceMs), sinceMs)
  const late = eventTime(at(Date.now() + 86_400_000), sinceMs)
  assert.ok(late > sinceMs && late <= Date.now() + 1, `${late}`)
})
