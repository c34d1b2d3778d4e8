/**
 * A pool whose record is missing, unreadable, cut off, or names processes that have died: `mount`, `list`,
 * `fsck` and `umount` find the holder of its memory through the kernel, and no empty pool takes its place.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { processStartTime } from '../../src/linux/process.ts'
import { DAMAGES, listed, recordFile, stage, succeeded } from './damaged-record.ts'
import { assertMountedFull, smallRun } from './small-run.ts'
import {
  beforeUnmount,
  cannotMount,
  guestmemfs,
  kill,
  STRANGER,
  shell,
  testMountPoint,
  testPoolName,
  until,
} from './support.ts'

const MIB = 1024 * 1024
const options = { skip: cannotMount, timeout: 120_000 }

for (const [damage, work] of Object.entries(DAMAGES)) {
  test(
    `the record ${damage}, the keeper dies: the next mount takes the running server over`,
    options,
    async (t) => {
      const { pool, keeper, server, mapper } = await stage(t, work)
      await kill(keeper)
      const found = await listed(pool.pool)
      assert.deepEqual(
        [found?.state, found?.serverPid, found?.mountPoint, found?.sizeBytes],
        ['mounted', server, pool.mountPoint, 64 * MIB],
      )
      const mounted = await guestmemfs('mount', pool.pool, pool.mountPoint)
      succeeded(mounted)
      assert.match(mounted.stdout, /a new one took over\)\n$/)
      assert.equal(processStartTime(server), undefined)
      assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
      assert.equal(await mapper.load(5), 55)
      fs.writeFileSync(pool.path('new'), 'there is a keeper again')
      succeeded(await guestmemfs('fsck', pool.pool))
      await mapper.end()
    },
  )
}

test(
  'the record is missing, both processes run: nothing is mounted anew; umount parks, mount finds',
  options,
  async (t) => {
    const { pool, keeper, mapper } = await stage(t, DAMAGES['is missing'] as (file: string) => void)
    const other = testMountPoint(t)
    const again = await guestmemfs('mount', pool.pool, other)
    assert.equal(again.status, 1)
    assert.match(again.stderr, /is mounted on \S+ already/)
    succeeded(await guestmemfs('fsck', pool.pool))
    await mapper.end()
    const parked = await guestmemfs('umount', pool.pool)
    succeeded(parked)
    assert.match(parked.stdout, /unmounted and parked/)
    fs.rmSync(recordFile(pool.pool))
    assert.deepEqual(
      [(await listed(pool.pool))?.state, (await listed(pool.pool))?.keeperPid],
      ['parked', keeper],
    )
    const found = await guestmemfs('mount', pool.pool, pool.mountPoint)
    succeeded(found)
    assert.match(found.stdout, /found again\)\n$/)
    assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
    fs.rmSync(recordFile(pool.pool))
    const keepers = (await listed(pool.pool))?.keeperPid as number
    assert.match((await guestmemfs('umount', '--discard', pool.pool)).stdout, /unmounted and discarded/)
    await until('its processes have ended', () => processStartTime(keepers) === undefined)
  },
)

test('/run is full while a server restarts, then the keeper dies', options, async (t) => {
  const pool = testPoolName(t)
  const { inside, cli, fill, makeRoom } = await smallRun(t)
  beforeUnmount(t, () => cli('umount', '--discard', pool))
  const mountPoint = testMountPoint(t)
  succeeded(await cli('mount', pool, mountPoint, '-o', 'size=64M'))
  succeeded(await inside('sh', '-c', `echo kept >${mountPoint}/text`))
  const record = async () => JSON.parse((await inside('cat', `${recordFile(pool)}`)).stdout)
  const { keeper, server } = await record()
  // A record that is there could be written over, as there is room for it.
  const fillWithoutRecord = async (): Promise<void> => {
    await inside('rm', recordFile(pool))
    await fill()
  }
  await fillWithoutRecord()
  await kill(server.pid)
  assert.equal((await inside('cat', `${mountPoint}/text`)).stdout, 'kept\n')
  const next = Number(shell(`cat /proc/${keeper.pid}/task/${keeper.pid}/children`).trim().split(' ')[0])
  assert.ok(next > 0 && next !== server.pid)
  await sleep(500)
  assert.equal((await record().catch(() => undefined))?.server?.pid === next, false, '/run is full')
  await kill(keeper.pid)

  const mounted = await cli('mount', pool, mountPoint)
  assertMountedFull(mounted)
  assert.match(mounted.stdout, /a new one took over\)\n$/)
  assert.equal((await inside('cat', `${mountPoint}/text`)).stdout, 'kept\n')
  assert.equal(processStartTime(next), undefined)

  await t.test('unmounted and mounted while no record can be written', async () => {
    assert.match((await cli('umount', pool)).stdout, /unmounted and parked/)
    const found = await cli('mount', pool, mountPoint)
    assertMountedFull(found)
    assert.match(found.stdout, /found again\)\n$/)
    assert.equal((await inside('cat', `${mountPoint}/text`)).stdout, 'kept\n')
    assert.match((await cli('umount', '--discard', pool)).stdout, /unmounted and discarded/)
    assert.match((await cli('list')).stdout, new RegExp(`^(?!.*${pool})`, 's'))
  })
  await makeRoom()
  const anew = await cli('mount', pool, mountPoint, '-o', 'size=32M')
  succeeded(anew)
  assert.match(anew.stdout, /32M \(new pool\)/)
  await inside('sh', '-c', `echo again >${mountPoint}/text`)
  await fillWithoutRecord()
  assert.match((await cli('umount', pool)).stdout, /unmounted and parked/)
  assertMountedFull(await cli('mount', pool, mountPoint))
  assert.equal((await inside('cat', `${mountPoint}/text`)).stdout, 'again\n')
})

test(
  'another process holds the memory, keeper and server are dead: mount names it and makes no pool',
  options,
  async (t) => {
    const { pool, keeper, server, mapper } = await stage(t, () => {})
    await mapper.end()
    // A third process with the image open, as the service manager has it in its store.
    const image = imageOf(keeper)
    const stranger = spawn('sleep', ['300'], { stdio: ['ignore', 'ignore', 'ignore', image] })
    fs.closeSync(image)
    t.after(() => stranger.kill('SIGKILL'))
    await kill(keeper)
    await kill(server)
    assert.equal((await listed(pool.pool))?.state, 'held')
    fs.rmSync(recordFile(pool.pool))
    const { state, sizeBytes } = (await listed(pool.pool)) ?? {}
    assert.deepEqual([state, sizeBytes], ['held', 64 * MIB])
    const named = new RegExp(`held by process ${stranger.pid} \\(sleep\\)`)
    const refused = await guestmemfs('mount', pool.pool, testMountPoint(t))
    assert.equal(refused.status, 1)
    assert.match(refused.stderr, named)
    const anew = await guestmemfs('mount', pool.pool, testMountPoint(t), '-o', 'new,size=32M')
    succeeded(anew)
  },
)

test('a user who has an image that names the pool holds up no mount', options, async (t) => {
  const { pool, keeper, server, mapper } = await stage(t, () => {})
  await mapper.end()
  const image = imageOf(keeper)
  const stdio = ['ignore', 'ignore', 'ignore', image] as const
  const user = spawn('sleep', ['300'], { stdio: [...stdio], ...STRANGER })
  fs.closeSync(image)
  t.after(() => user.kill('SIGKILL'))
  await kill(keeper)
  await kill(server)
  fs.rmSync(recordFile(pool.pool))
  assert.equal((await listed(pool.pool))?.state, 'lost', 'neither a keeper nor a server holds it')
  const anew = await guestmemfs('mount', pool.pool, testMountPoint(t), '-o', 'new,size=32M')
  succeeded(anew)
  assert.match(anew.stdout, /32M \(new pool: the processes of the former one had died/)
})

/** Opens the image that `pid` holds. */
function imageOf(pid: number): number {
  const found = fs
    .readdirSync(`/proc/${pid}/fd`)
    .find((fd) => fs.readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('/memfd:guestmemfs:image '))
  return fs.openSync(`/proc/${pid}/fd/${found}`, 'r+')
}
