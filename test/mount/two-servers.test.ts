/**
 * Two servers on one image: a second server, started as by a second keeper, with copies of every descriptor
 * of the first, is refused; and the successor of the first one gets the lock.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MemfdTable } from '../../src/keeper/memfd-table.ts'
import { ServerProcess } from '../../src/keeper/server-process.ts'
import { takeOver } from '../../src/keeper/takeover/copy-fds.ts'
import { close } from '../../src/linux/descriptors.ts'
import { openFuseDevice } from '../../src/linux/fuse-device.ts'
import { mountFuse } from '../../src/linux/mounts.ts'
import { processStartTime } from '../../src/linux/process.ts'
import type { Fd } from '../../src/values/ids.ts'
import { answerTo } from './refused.ts'
import {
  beforeUnmount,
  cannotMount,
  guestmemfs,
  mountTestPool,
  poolRecord,
  shell,
  type TestPool,
  TREE,
  testMountPoint,
  until,
} from './support.ts'

const options = { skip: cannotMount, timeout: 120_000 }

/** A server of the tree under test; today's `ServerProcess` is its keeper's side. */
function startServer(t: TestContext, memfds: MemfdTable): ServerProcess {
  const node = process.execPath
  const wrapper = join(fs.mkdtempSync(join(tmpdir(), 'second-')), 'node')
  t.after(() => fs.rmSync(dirname(wrapper), { recursive: true }))
  const flags = process.execArgv.map((flag) => `'${flag}'`).join(' ')
  fs.writeFileSync(wrapper, `#!/bin/sh\nexec '${node}' ${flags} '${TREE}/src/server/main.ts'\n`, {
    mode: 0o755,
  })
  process.execPath = wrapper
  try {
    return new ServerProcess(memfds, fs.openSync('/dev/null', 'a') as Fd, { preserve() {}, unpreserve() {} })
  } finally {
    process.execPath = node
  }
}

/** Another server on copies of the descriptors that `role` holds, with a connection of its own. */
async function secondServer(t: TestContext, { pool }: TestPool, role: 'keeper' | 'server') {
  const record = poolRecord(pool)
  const { areas, memfds } = takeOver(pool, record[role]?.pid ?? 0, role)
  const server = startServer(t, memfds)
  beforeUnmount(t, async () => {
    server.kill()
    await server.end
  })
  const opened = await server.open({ pool, source: record.source, rootDirectory: undefined }, areas)
  if (opened.kind !== 'opened') return { server, mountPoint: undefined }
  const mountPoint = testMountPoint(t)
  const fuse = openFuseDevice()
  const how = ['allow_other', 'default_permissions']
  assert.equal(
    mountFuse({ fuseFd: fuse, source: 'second', target: mountPoint, flags: 0, options: how }),
    undefined,
  )
  const askedAtMs = Date.now()
  server.serve({ fuse, restarts: 0, isCrashed: false, askedAtMs, mountPoint, endedPid: null })
  close(fuse)
  return { server, mountPoint }
}

async function assertRefused(t: TestContext, pool: TestPool, role: 'keeper' | 'server'): Promise<void> {
  const { server } = await secondServer(t, pool, role)
  // Less than it would wait for a killed server: the first one was not killed.
  const end = await Promise.race([server.end, sleep(8000, 'no answer' as const)])
  assert.notEqual(end, 'no answer')
  assert.match(JSON.stringify(end), /"kind":"refused".*is locked by process/)
  assert.match(JSON.stringify(end), new RegExp(`locked by process ${pool.serverPid()}`))
}

test('a second server with copies of the keeper’s descriptors is refused', options, async (t) => {
  const pool = await mountTestPool(t, { size: '64M' })
  fs.writeFileSync(pool.path('file'), 'of the first')
  await assertRefused(t, pool, 'keeper')
  assert.equal(fs.readFileSync(pool.path('file'), 'utf8'), 'of the first')
  fs.writeFileSync(pool.path('next'), 'still served')

  await t.test('so is one with copies of the server’s own, the keeper being dead', async () => {
    const { keeper } = poolRecord(pool.pool)
    process.kill(keeper.pid, 'SIGKILL')
    await until('the keeper ends', () => processStartTime(keeper.pid) === undefined)
    await assertRefused(t, pool, 'server')
  })

  await t.test('copies that a process still has do not keep the lock from the next server', async () => {
    takeOver(pool.pool, pool.serverPid(), 'server')
    const server = pool.serverPid()
    const { stderr, status } = await guestmemfs('mount', pool.pool, pool.mountPoint)
    assert.deepEqual([stderr, status], ['', 0])
    assert.notEqual(pool.serverPid(), server)
    assert.equal(fs.readFileSync(pool.path('next'), 'utf8'), 'still served')
    process.kill(pool.serverPid(), 'SIGKILL')
    fs.writeFileSync(pool.path('last'), 'by a third server')
    assert.equal(
      answerTo(() => fs.readFileSync(pool.path('last'))),
      'ok',
    )
  })

  await t.test('one process holds a lock, and none of its children', () => {
    const locked = shell(
      `cd /proc; for f in [0-9]*/fdinfo/*; do grep -qs '^lock:.*FLOCK' $f || continue; l=$(readlink $(echo $f | sed s/fdinfo/fd/)) || continue; case $l in /memfd:guestmemfs:image*) echo $f;; esac; done`,
    )
    const holders = locked
      .trim()
      .split('\n')
      .filter((line) => line.startsWith(`${pool.serverPid()}/`))
    assert.equal(holders.length, 1, locked)
  })
})
