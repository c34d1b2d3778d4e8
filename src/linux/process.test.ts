/** Tests that other processes are named, signalled and waited for, and that a lock has one holder. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { test } from 'node:test'
import { EBADF, ENOENT, Errno, ESRCH } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { close, waitReadable } from './descriptors.ts'
import { memfdCreate, readAt, resize, writeAt } from './memory.ts'
import {
  endOf,
  isStopped,
  pidfdGetFd,
  pidfdOpen,
  processStartTime,
  sendSignal,
  setNice,
  setOomScore,
  setSessionNice,
  waitExit,
} from './process.ts'

function ok<T>(result: T | Errno): T {
  assert.ok(!(result instanceof Errno), String(result))
  return result as T
}

test('a child is named by a pidfd, killed through it, and its end is seen', async () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' })
  const pid = child.pid ?? 0
  const pidfd: Fd = ok(pidfdOpen(pid))
  assert.equal(await waitExit(pidfd, 10), false)
  assert.equal(waitReadable(pidfd, 0), false)
  const started = processStartTime(pid)
  assert.match(started ?? '', /^\d+$/)
  assert.equal(sendSignal(pidfd, 'SIGKILL'), undefined)
  assert.equal(await waitExit(pidfd, 5000), true)
  assert.equal(waitReadable(pidfd, 0), true)
  if (child.exitCode === null && child.signalCode === null)
    await new Promise((done) => child.once('exit', done))
  assert.equal(sendSignal(pidfd, 'SIGTERM'), ESRCH)
  assert.equal(pidfdOpen(pid), ESRCH)
  assert.equal(processStartTime(pid), undefined)
  close(pidfd)
})

test('start times tell processes apart and stay the same', () => {
  assert.equal(processStartTime(process.pid), processStartTime(process.pid))
  assert.ok(BigInt(processStartTime(process.pid) ?? 0) > BigInt(processStartTime(1) ?? 0))
})

test("a live process's descriptor is copied", () => {
  const fd = memfdCreate('test', { sealable: false })
  resize(fd, 1)
  const self = ok(pidfdOpen(process.pid))
  const copy = ok(pidfdGetFd(self, fd))
  writeAt(fd, 0, Uint8Array.of(9))
  close(fd)
  const value = new Uint8Array(1)
  assert.equal(readAt(copy, 0, value), 1)
  assert.equal(value[0], 9)
  assert.equal(pidfdGetFd(self, 999_999), EBADF)
  close(copy)
  close(self)
})

test('the OOM score is set, and not for a process that is not there', async () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' })
  assert.equal(setOomScore(child.pid ?? 0, 321), undefined)
  assert.equal(setNice(child.pid ?? 0, 7), undefined)
  assert.equal(getPriority(child.pid ?? 0), 7)
  assert.equal(readFileSync(`/proc/${child.pid}/oom_score_adj`, 'latin1'), '321\n')
  child.kill('SIGKILL')
  await new Promise((done) => child.once('exit', done))
  assert.equal(setOomScore(child.pid ?? 0, 321), ENOENT)
  assert.equal(setNice(child.pid ?? 0, 7), ESRCH)
  assert.equal(setSessionNice(child.pid ?? 0, 7), ENOENT)
})

test('a stopped process is there and runs nothing; one that ended is gone before it is waited for', async () => {
  const child = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [output] = (await new Promise<Buffer[]>((done) =>
    child.stdout.once('data', (...data) => done(data)),
  )) as [Buffer]
  const pid = child.pid ?? 0
  const until = async (holds: () => boolean): Promise<void> => {
    for (let look = 0; look < 500 && !holds(); look++) await new Promise((done) => setTimeout(done, 10))
    assert.ok(holds())
  }
  assert.equal(isStopped(pid), false)
  child.kill('SIGSTOP')
  await until(() => isStopped(pid))
  assert.match(processStartTime(pid) ?? '', /^\d+$/)
  child.kill('SIGCONT')
  await until(() => !isStopped(pid))
  // `sleep` does not wait for the child that the shell before it had.
  await until(() => processStartTime(Number(output.toString())) === undefined)
  assert.match(readFileSync(`/proc/${Number(output.toString())}/stat`, 'latin1'), /\) Z /)
  child.kill('SIGKILL')
  await new Promise((done) => child.once('exit', done))
  assert.deepEqual([isStopped(pid), processStartTime(pid)], [false, undefined])
})

/** As exit(2) of a thread alone; libc's `exit` ends all of them. */
const SYS_EXIT = process.arch === 'arm64' ? 93 : 60
const ENDS_ITS_MAIN_THREAD = `
  import { libcCall } from '${new URL('library.ts', import.meta.url)}'
  process.stdout.write('here', () => libcCall('syscall', 'long', ['long', 'long'])(${SYS_EXIT}, 0))`

test('a process whose main thread has ended is there until its last thread ends', async (t) => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', ENDS_ITS_MAIN_THREAD])
  const exited = once(child, 'exit')
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  const pid = child.pid as number
  const isZombie = (): boolean => /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  while (!isZombie()) await new Promise((resolve) => setTimeout(resolve, 5))
  assert.match(processStartTime(pid) ?? '', /^\d+$/)
  child.kill('SIGKILL')
  await exited
  assert.equal(processStartTime(pid), undefined)
})

test('a session is put behind or before others', {
  skip: existsSync('/proc/self/autogroup') ? false : 'no autogroups',
}, () => {
  const child = spawn('sleep', ['60'], { stdio: 'ignore', detached: true })
  assert.equal(setSessionNice(child.pid ?? 0, 3), undefined)
  assert.match(readFileSync(`/proc/${child.pid}/autogroup`, 'utf8'), / nice 3$/m)
  child.kill('SIGKILL')
})

test('how a process ended is known after its parent has waited for it', async (t) => {
  for (const [script, end] of [
    ['read go; exit 7', { code: 7, signal: null }],
    ['read go; kill -KILL $$', { code: null, signal: 'SIGKILL' }],
  ] as const) {
    const child = spawn('sh', ['-c', script], { stdio: ['pipe', 'ignore', 'inherit'] })
    const exited = once(child, 'exit')
    const pidfd = ok(pidfdOpen(child.pid as number))
    assert.equal(endOf(pidfd, child.pid as number), undefined)
    child.stdin.end('go\n')
    await exited
    const found = endOf(pidfd, child.pid as number)
    close(pidfd)
    if (found === undefined) return t.skip('the kernel does not tell (Linux 6.15)')
    assert.deepEqual(found, end)
  }
})
