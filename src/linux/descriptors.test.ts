/** Tests of descriptor handling against the running kernel. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { EBADF } from '../values/errno.ts'
import { SystemCallError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { close, duplicateAbove, raiseDescriptorLimit, setCloseOnExec, waitReadable } from './descriptors.ts'
import { memfdCreate } from './memory.ts'
import { sendMessage, socketPair } from './sockets.ts'

const isOpen = (fd: Fd): boolean => existsSync(`/proc/self/fd/${fd}`)

test('a duplicate has the number asked for or the next free one, and is closed by itself', () => {
  const fd = memfdCreate('test', { sealable: false })
  const first = duplicateAbove(fd, 300)
  const second = duplicateAbove(fd, 300)
  assert.deepEqual([first, second], [300, 301])
  close(fd)
  assert.ok(isOpen(first) && !isOpen(fd))
  close(first)
  close(second)
  assert.throws(
    () => close(second),
    (error) => error instanceof SystemCallError && error.errno === EBADF,
  )
})

test('close-on-exec decides what a started program gets', () => {
  const fd = duplicateAbove(memfdCreate('inherited', { sealable: false }), 300)
  // Through a shell's exec, without spawn's own closing of descriptors: /proc shows the flag itself.
  const closesOnExec = (): boolean => {
    const flags = /flags:\s+(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? ''
    return (Number.parseInt(flags, 8) & 0o2000000) !== 0
  }
  assert.ok(closesOnExec())
  setCloseOnExec(fd, false)
  assert.ok(!closesOnExec())
  setCloseOnExec(fd, true)
  assert.ok(closesOnExec())
  close(fd)
})

test('the limit is raised as far as it goes, and children get it', () => {
  const limit = raiseDescriptorLimit()
  assert.ok(limit >= 1024)
  assert.equal(raiseDescriptorLimit(), limit)
  const shell = spawnSync('sh', ['-c', 'ulimit -Sn; ulimit -Hn'], { encoding: 'latin1' })
  assert.equal(shell.stdout, `${limit}\n${limit}\n`)
})

test('waiting ends with something to read, with the end, or with the time', () => {
  const [a, b] = socketPair()
  assert.equal(waitReadable(b, 0), false)
  const before = performance.now()
  assert.equal(waitReadable(b, 30), false)
  assert.ok(performance.now() - before >= 29)
  sendMessage(a, new Uint8Array(1))
  assert.equal(waitReadable(b, 0), true)
  assert.equal(waitReadable(b, -1), true)
  close(b)
  assert.equal(waitReadable(a, -1), true)
  close(a)
})
