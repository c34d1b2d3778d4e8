/**
 * The keeper is killed while it waits for the server that it has started in the place of one that died: that
 * server has all of the pool by then, or the pool is lost and `mount` says so. No empty pool takes its place.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isStopped, processStartTime } from '../../src/linux/process.ts'
import { cannotMount, guestmemfs, kill, mountTestPool, until } from './support.ts'

const options = { skip: cannotMount, timeout: 240_000 }
const START_MS = 60_000

const lineOf = (pid: number): string => fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')

function hasConnection(pid: number): boolean {
  const folder = `/proc/${pid}/fd`
  try {
    return fs.readdirSync(folder).some((fd) => fs.readlinkSync(join(folder, fd)) === '/dev/fuse')
  } catch {
    return false // It has closed one of them meanwhile.
  }
}

/**
 * How far it is: the keeper's copy still, its program before it can have read a message, the keeper's
 * descriptors in it.
 */
const MOMENTS: Readonly<Record<string, (pid: number) => boolean>> = {
  'has just been forked': () => true,
  'runs its program': (pid) => /server\/main/.test(lineOf(pid)),
  'has the connection': (pid) => /server\/main/.test(lineOf(pid)) && hasConnection(pid),
}

async function nextServer(keeper: number, former: number, is: (pid: number) => boolean): Promise<number> {
  const children = `/proc/${keeper}/task/${keeper}/children`
  const deadline = performance.now() + START_MS
  for (;;) {
    assert.ok(performance.now() < deadline, 'no other server was started')
    const pids = fs.readFileSync(children, 'latin1').trim().split(' ').map(Number)
    const found = pids.find((pid) => pid > 0 && pid !== former)
    if (found !== undefined && is(found)) return found
    await sleep(1)
  }
}

for (const [when, is] of Object.entries(MOMENTS))
  test(`the server that it waits for ${when}`, options, async (t) => {
    const pool = await mountTestPool(t, { size: '64M' })
    fs.writeFileSync(pool.path('text'), 'kept')
    const [keeper, server] = [pool.keeperPid(), pool.serverPid()]
    process.kill(server, 'SIGKILL')
    const next = await nextServer(keeper, server, is)
    process.kill(next, 'SIGSTOP')
    // On a busy machine it has not run since, and must not stop after SIGCONT.
    await until('it is stopped', () => isStopped(next))
    await kill(keeper)
    process.kill(next, 'SIGCONT')
    const deadline = performance.now() + START_MS
    for (;;) {
      const { status, stdout, stderr } = await guestmemfs('mount', pool.pool, pool.mountPoint)
      if (status === 0) {
        assert.match(stdout, /its keeper had died: a new one took over/)
        assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
        t.diagnostic('taken over')
        return
      }
      if (/have died, no other process holds its memory/.test(stderr)) {
        // One that got nothing from the keeper ends, a moment later maybe; one that has the memory would go
        // on.
        await until('the server that has nothing ends', () => processStartTime(next) === undefined)
        assert.equal((await guestmemfs('umount', '--discard', pool.pool)).status, 0)
        t.diagnostic('lost')
        return
      }
      assert.ok(performance.now() < deadline, stderr)
      await sleep(100)
    }
  })
