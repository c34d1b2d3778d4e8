/** Tests of a child that waits before it executes its program, with real ones. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ENOENT } from '../values/errno.ts'
import { spawnAs } from './credentials.ts'
import { executeHeld, heldProgram } from './held-program.ts'
import { processStartTime } from './process.ts'

const SOCKET = 4
const program = heldProgram(SOCKET)
const skip = program === undefined ? 'this machine executes no memfds' : false
const isRoot = process.getuid?.() === 0
const STRANGER = { uid: 61234, gid: 61235, groups: [61236] }

const startHeld = (words: readonly string[], env: Record<string, string> = {}): ChildProcess =>
  (isRoot ? (...more: [string, readonly string[], object]) => spawnAs(STRANGER, ...more) : spawn)(
    program as string,
    words,
    { env, cwd: '/usr', stdio: ['ignore', 'pipe', 'inherit', 'ignore', 'pipe'] },
  )
const socketOf = (child: ChildProcess) => child.stdio[SOCKET] as unknown as Duplex

test('it keeps its pid, and has the environment, directory and descriptors that it was started with', {
  skip,
}, async () => {
  const show = `tr '\\0' '\\n' </proc/self/environ; readlink /proc/self/cwd; echo $$
    ls -l /proc/$$/fd | grep -E ' ${SOCKET} -> |guestmemfs:held'; grep -E '^(Uid|SigIgn|SigBlk)' /proc/self/status`
  const child = startHeld(['/bin/sh', '-c', show], { ONE: 'a b', TWO: '' })
  const output = text(child.stdout as NodeJS.ReadableStream)
  const startTime = processStartTime(child.pid as number)
  await sleep(50)
  assert.notEqual(readlinkSync(`/proc/${child.pid}/exe`), readlinkSync('/bin/sh'))
  assert.equal(await executeHeld(socketOf(child)), undefined)
  const uid = isRoot ? STRANGER.uid : process.getuid?.()
  assert.deepEqual((await output).trim().split('\n'), [
    ...['ONE=a b', 'TWO=', '/usr', String(child.pid)],
    `Uid:\t${uid}\t${uid}\t${uid}\t${uid}`,
    ...['SigBlk:\t0000000000000000', 'SigIgn:\t0000000000000000'],
  ])
  assert.notEqual(startTime, undefined)
})

test('what cannot be executed is told by its errno', { skip }, async () => {
  const child = startHeld(['/bin/no-such-program'])
  const ended = once(child, 'exit')
  assert.equal(await executeHeld(socketOf(child)), ENOENT)
  assert.deepEqual(await ended, [127, null])
})

test('where the process that started it ends first, it ends and has executed nothing', { skip }, async () => {
  const child = startHeld(['/bin/echo', 'executed'])
  const output = text(child.stdout as NodeJS.ReadableStream)
  const ended = once(child, 'exit')
  socketOf(child).destroy()
  assert.deepEqual([await ended, await output], [[127, null], ''])
})

for (const event of ['exit', 'close'] as const)
  test(`one that was killed while it waited is no error (after its ${event})`, { skip }, async () => {
    const child = startHeld(['/bin/true'])
    child.stdout?.resume()
    const ended = once(child, event)
    child.kill('SIGKILL')
    assert.deepEqual(await ended, [null, 'SIGKILL'])
    assert.equal(await executeHeld(socketOf(child)), undefined)
  })
