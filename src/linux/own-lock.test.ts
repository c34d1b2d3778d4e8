import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { openSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { EAGAIN, Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { close, duplicateAbove } from './descriptors.ts'
import { memfdCreate } from './memory.ts'
import { isLocked, lockOwner, takeOwnLock } from './own-lock.ts'
import { pidfdGetFd, pidfdOpen } from './process.ts'

const memfd = (): Fd => memfdCreate('own lock', { sealable: false })
function taken(fd: Fd): Fd {
  const own = takeOwnLock(fd, 0)
  assert.ok(!(own instanceof Errno), String(own))
  return own
}

test('one lock at a time on a memfd, by copies of its descriptor or by new ones', () => {
  const fd = memfd()
  const copy = duplicateAbove(fd, 0)
  const own = taken(fd)
  for (const other of [fd, copy, openSync(`/proc/self/fd/${fd}`, 'r+') as Fd, own])
    assert.equal(takeOwnLock(other, 0), EAGAIN)
  assert.deepEqual(
    [isLocked('self', own), isLocked('self', fd), isLocked(process.pid, copy), lockOwner(copy)],
    [true, false, false, process.pid],
  )
  close(fd)
  assert.equal(takeOwnLock(copy, 0), EAGAIN, 'closing another descriptor releases nothing')
  close(own)
  assert.equal(lockOwner(copy), undefined)
  close(taken(copy))
})

test('the wait for it is bounded', () => {
  const fd = memfd()
  taken(fd)
  const start = performance.now()
  assert.equal(takeOwnLock(fd, 50), EAGAIN)
  const waitedMs = performance.now() - start
  assert.ok(waitedMs >= 50 && waitedMs < 5000, String(waitedMs))
})

test('no child inherits it; a copy of that very descriptor would hold it, too', async (t) => {
  const fd = memfd()
  const own = taken(fd)
  const child = spawn('sleep', ['60'])
  t.after(() => child.kill('SIGKILL'))
  await new Promise((resolve) => child.once('spawn', resolve))
  assert.equal(readdirSync(`/proc/${child.pid}/fd`).includes(String(own)), false)
  const self = pidfdOpen(process.pid)
  assert.ok(!(self instanceof Errno))
  const copied = pidfdGetFd(self, own)
  assert.ok(!(copied instanceof Errno))
  assert.ok(isLocked('self', copied), 'so a takeover must leave it out')
  close(own)
  assert.equal(takeOwnLock(fd, 0), EAGAIN)
  close(copied)
  taken(fd)
})
