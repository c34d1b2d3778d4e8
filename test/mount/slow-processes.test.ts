/** Processes of a takeover that hang: none of them keeps the pool from its callers. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { descriptorLinks } from '../../src/keeper/takeover/held-areas.ts'
import { isStopped, processStartTime } from '../../src/linux/process.ts'
import { logPath } from '../../src/run/pool-record.ts'
import { otherTree } from './other-tree.ts'
import { assertRefused, cannotMountRegion, mountRegion, use } from './region-pool.ts'
import { cannotMount, kill, shell, testMountPoint, testPool, testPoolName, until } from './support.ts'

const options = { skip: cannotMount, timeout: 120_000 }
/** Of cgroup v1: a frozen process does not end before it is thawed. That of v2 lets it end. */
const FREEZER = '/sys/fs/cgroup/freezer'
const cannotFreeze =
  cannotMountRegion ||
  (fs.existsSync(FREEZER) ? false : 'needs the freezer of cgroup v1 (a process that SIGKILL does not end)')

test('a next server that hangs at its start is ended, and the former one goes on', options, async (t) => {
  const tree = otherTree(t, ['src/keeper/server-process.ts', '_TIMEOUT_MS = 30_000', '_TIMEOUT_MS = 2_000'])
  const pool = testPool(testPoolName(t), testMountPoint(t))
  const mount = () => tree.run('mount', pool.pool, pool.mountPoint)
  const made = await tree.run('mount', pool.pool, pool.mountPoint, '-o', 'size=64M')
  assert.deepEqual([made.stderr, made.status], ['', 0])
  const goesOn = await use(t, pool)
  const server = pool.serverPid()
  await kill(pool.keeperPid())
  const reads = "await link.expect('open')\n"
  const hangs = `${reads}await new Promise((resolve) => setTimeout(resolve, 600_000))\n`
  tree.change('src/server/main.ts', reads, hangs)
  assertRefused(await mount(), /its next server did not read the image within 2 s and was ended/)
  // Before this process touches the mount: it would wait without end for a server that is stopped.
  assert.ok(processStartTime(server) !== undefined && !isStopped(server))
  await goesOn()
  assert.equal(shell(`pgrep -c -f '${tree.folder}/[s]rc/server/main'`), '1\n')
  tree.change('src/server/main.ts', hangs, reads)
  const adopted = await mount()
  assert.deepEqual([adopted.stderr, adopted.status], ['', 0])
  await goesOn()
})

test('a killed server that is not gone is waited for, and no other one serves before', {
  ...options,
  skip: cannotFreeze,
}, async (t) => {
  const group = join(FREEZER, `guestmemfs-test-${process.pid}`)
  fs.mkdirSync(group)
  const say = (state: 'FROZEN' | 'THAWED') => fs.writeFileSync(join(group, 'freezer.state'), state)
  t.after(async () => {
    say('THAWED')
    await until('the group is empty', () => fs.readFileSync(join(group, 'cgroup.procs'), 'utf8') === '')
    fs.rmdirSync(group)
  })
  const { tree, folder, ...pool } = await mountRegion(t)
  const goesOn = await use(t, pool)
  const former = pool.serverPid()
  const kills = "process.kill(holder.pid, 'SIGKILL')"
  const freezes = `process.getBuiltinModule('node:fs').writeFileSync('${group}/cgroup.procs', String(holder.pid))`
  tree.change('src/keeper/takeover/holder-process.ts', kills, `${freezes}; ${kills}`)
  await kill(pool.keeperPid())
  say('FROZEN')
  const mounting = tree.run('mount', pool.pool, pool.mountPoint)
  const log = () => fs.readFileSync(logPath(pool.pool), 'utf8')
  await until('the keeper says why it waits', () => log().includes('was killed and is not gone'), 20_000)
  assert.notEqual(processStartTime(former), undefined)
  const servers = shell(`pgrep -f '${tree.folder}/[s]rc/server/main'`).trim().split('\n').map(Number)
  assert.equal(servers.length, 2, 'the next server is there')
  const connected = servers.filter((pid) =>
    [...descriptorLinks(pid)].some(([, link]) => link === '/dev/fuse'),
  )
  assert.deepEqual(connected, [former], 'and answers no caller')
  const format = ['format', 'other', '--store', 'devmem', '--region', folder, '--force']
  assertRefused(await tree.run(...format), /is in use by another pool/)
  const again = await tree.run('mount', pool.pool, pool.mountPoint)
  assertRefused(again, /is being mounted by another process/)
  say('THAWED')
  const adopted = await mounting
  assert.deepEqual([adopted.stderr, adopted.status], ['', 0])
  assert.equal(processStartTime(former), undefined)
  await goesOn()
})
