/** Tests of how threads are scheduled: of this process, which may raise its own nice value. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { EINVAL, ESRCH } from '../values/errno.ts'
import { parseCpus, readSchedule, type Schedule, setSchedule } from './thread-schedule.ts'

test('what was set is read again, and nothing of another process is touched', (t) => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' })
  t.after(() => child.kill())
  const pid = child.pid as number
  const wanted: Schedule = { ...(readSchedule(pid, pid) as Schedule), policy: 3, nice: 5, cpus: '0' }
  assert.equal(setSchedule(pid, pid, wanted), undefined)
  // Fields 19 and 41 of proc_pid_stat(5), counted from the third.
  const told = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? []
  assert.deepEqual([told[16], told[38]], ['5', '3'])
  const found = readSchedule(pid, pid)
  // On a machine of one processor that is every one.
  assert.deepEqual({ ...found, cpus: found?.cpus ?? '0' }, wanted)
  assert.equal(setSchedule(pid, pid, { ...wanted, cpus: null }), undefined)
  assert.equal(readSchedule(pid, pid)?.cpus, null)
  assert.equal(readSchedule(pid, process.pid), undefined)
  assert.equal(setSchedule(pid, process.pid, wanted), ESRCH)
  assert.equal(setSchedule(pid, pid, { ...wanted, cpus: '9000' }), EINVAL)
  assert.equal(setSchedule(pid, pid, { ...wanted, policy: 77 }), EINVAL)
})

test('a list of processors', () => {
  assert.deepEqual([...(parseCpus('0-2,7') ?? [])], [0, 1, 2, 7])
  for (const bad of ['', '3-1', '1,', 'a', '0-8192', '-1']) assert.equal(parseCpus(bad), undefined)
})
