/**
 * Tests of a pool's states: mounted, parked, mounted again elsewhere, discarded, and separate from every
 * other pool.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseMeminfo } from '../../src/linux/memory-info.ts'
import { mountTable, unmount } from '../../src/linux/mounts.ts'
import { processStartTime } from '../../src/linux/process.ts'
import { searchHolders } from '../../src/pool/search-holders.ts'
import { Mapper } from './mapper.ts'
import { answerTo } from './refused.ts'
import {
  cannotMount,
  guestmemfs,
  guestmemfsWith,
  mountTestPool,
  poolRecord,
  printed,
  shell,
  testMountPoint,
  testPoolName,
  until,
} from './support.ts'

const MIB = 1024 * 1024
const options = { skip: cannotMount, timeout: 90_000 }
const REFUSAL = fileURLToPath(new URL('refuse-pidfd.ts', import.meta.url))
const isMounted = (mountPoint: string): boolean => mountTable().some(({ target }) => target === mountPoint)

test('parked, and mounted elsewhere: files, contents and numbers are the same', options, async (t) => {
  const pool = await mountTestPool(t, { size: '64M' })
  fs.mkdirSync(pool.path('dir'), { mode: 0o750 })
  fs.writeFileSync(pool.path('dir', 'text'), 'kept')
  fs.linkSync(pool.path('dir', 'text'), pool.path('link'))
  fs.symlinkSync('dir/text', pool.path('symlink'))
  const first = await Mapper.start(t, pool.path('ram'), 8 * MIB, { create: true })
  await first.fill(4 * MIB, 8 * MIB, 0x5a)
  await first.end()
  fs.utimesSync(pool.path('ram'), 1, 2)
  const view = (mountPoint: string): string =>
    shell(
      `cd '${mountPoint}'; find . -printf '%p %i %y %m %U %G %n %s %b %T@ %C@ %l\\n' | sort; cat symlink; stat -f -c '%b %f %d' .`,
    )
  const before = view(pool.mountPoint)

  const { stdout } = await guestmemfs('umount', pool.mountPoint)
  assert.match(stdout, /^\S+: unmounted and parked/)
  assert.deepEqual([isMounted(pool.mountPoint), fs.readdirSync(pool.mountPoint)], [false, []])
  assert.deepEqual([poolRecord(pool.pool).state, poolRecord(pool.pool).mountPoint], ['parked', null])
  const list = (await guestmemfs('list')).stdout
  assert.match(list, new RegExp(`^${pool.pool} +parked +64M +- +-$`, 'm'))

  const folder = testMountPoint(t)
  const elsewhere = join(folder, 'with a space')
  fs.mkdirSync(elsewhere)
  assert.match((await guestmemfs('mount', pool.pool, elsewhere)).stdout, /\(found again\)\n$/)
  assert.equal(view(elsewhere), before)
  const second = await Mapper.start(t, join(elsewhere, 'ram'), 8 * MIB)
  assert.deepEqual([await second.load(4 * MIB - 1), await second.load(4 * MIB)], [0, 0x5a])
  await second.end()
  assert.match((await guestmemfs('status', '-v', elsewhere)).stdout, /^mountPoint +.*with a space$/m)
  assert.equal((await guestmemfs('umount', `${elsewhere}/`)).status, 0)
  fs.rmdirSync(elsewhere)
})

test('two pools at once are independent; an empty one ends by itself', options, async (t) => {
  const one = await mountTestPool(t, { size: '32M' })
  const two = await mountTestPool(t, { size: '64M' })
  fs.writeFileSync(one.path('same'), 'one')
  fs.writeFileSync(two.path('same'), 'two')
  assert.notEqual(one.keeperPid(), two.keeperPid())
  process.kill(two.serverPid(), 'SIGKILL')
  assert.deepEqual(
    [fs.readFileSync(one.path('same'), 'utf8'), fs.readFileSync(two.path('same'), 'utf8')],
    ['one', 'two'],
  )
  assert.deepEqual([fs.statfsSync(one.path()).blocks, fs.statfsSync(two.path()).blocks], [16, 32])
  fs.unlinkSync(one.path('same'))
  assert.match((await guestmemfs('umount', one.pool)).stdout, /unmounted; it held nothing\n$/)
  const pools = (await printed('list')).pools.map(({ pool }) => pool)
  assert.deepEqual([pools.includes(one.pool), pools.includes(two.pool)], [false, true])
  assert.equal(fs.readFileSync(two.path('same'), 'utf8'), 'two')
})

test('discarding frees the memory', options, async (t) => {
  const BYTES = 256 * MIB
  const shmemBytes = (): number =>
    parseMeminfo(fs.readFileSync('/proc/meminfo', 'latin1')).get('Shmem') ?? Number.NaN
  const pool = await mountTestPool(t, { size: '512M' })
  const before = shmemBytes()
  const mapper = await Mapper.start(t, pool.path('ram'), BYTES, { create: true })
  await mapper.fill(0, BYTES, 1)
  await mapper.end()
  await guestmemfs('umount', pool.pool)
  // Other programs use shared memory too: most of the difference must show.
  const parked = shmemBytes()
  assert.ok(parked - before > BYTES * 0.8, `${parked - before} more bytes of shared memory while parked`)
  const keeper = pool.keeperPid()
  assert.match((await guestmemfs('umount', '--discard', pool.pool)).stdout, /unmounted and discarded\n$/)
  await until('the memory is back', () => parked - shmemBytes() > BYTES * 0.8)
  assert.equal(processStartTime(keeper), undefined)
})

test('a lazy unmount lets processes that use the mount finish, then parks the pool', options, async (t) => {
  const pool = await mountTestPool(t, { size: '32M' })
  const mapper = await Mapper.start(t, pool.path('ram'), 4 * MIB, { create: true })
  assert.equal(unmount(pool.mountPoint, { lazy: true }), undefined)
  const early = await guestmemfs('mount', pool.pool, pool.mountPoint)
  assert.equal(early.status, 1)
  assert.match(early.stderr, /^guestmemfs: pool '\S+' was unmounted from \S+ and is still in use: .*\n$/)
  await mapper.store(0, 9)
  assert.equal(await mapper.load(0), 9)
  await mapper.end()
  assert.equal((await guestmemfs('mount', pool.pool, pool.mountPoint)).status, 0)
  assert.deepEqual(fs.readdirSync(pool.mountPoint), ['ram'])
})

test('a pool that is unmounted just when its server dies is parked', options, async (t) => {
  const pool = await mountTestPool(t, { size: '32M' })
  for (let round = 0; round < 4; round++) {
    fs.writeFileSync(pool.path(`file-${round}`), `round ${round}`)
    process.kill(pool.serverPid(), 'SIGKILL')
    if (round % 2 === 1) await sleep(Math.random() * 100)
    assert.equal(unmount(pool.mountPoint, { lazy: false }), undefined)
    await until('it is parked', () => poolRecord(pool.pool).state === 'parked')
    const mounted = await guestmemfs('mount', pool.pool, pool.mountPoint)
    assert.deepEqual([mounted.status, mounted.stderr], [0, ''])
    for (let each = 0; each <= round; each++)
      assert.equal(fs.readFileSync(pool.path(`file-${each}`), 'utf8'), `round ${each}`)
  }
})

test('flags of mount(8) have their effect', options, async (t) => {
  const pool = await mountTestPool(t, { size: '32M' })
  fs.copyFileSync('/bin/true', pool.path('true'))
  fs.chmodSync(pool.path('true'), 0o755)
  shell(pool.path('true'))
  assert.equal((await guestmemfs('umount', pool.pool)).status, 0)
  assert.equal(
    (await guestmemfs('mount', pool.pool, pool.mountPoint, '-o', 'ro,noexec', '-o', 'nosuid')).status,
    0,
  )
  const flags = mountTable().find(({ target }) => target === pool.mountPoint)?.options ?? []
  assert.deepEqual(
    ['ro', 'noexec', 'nosuid'].filter((flag) => !flags.includes(flag)),
    [],
  )
  assert.equal(
    answerTo(() => fs.writeFileSync(pool.path('new'), '')),
    'EROFS',
  )
  assert.throws(() => shell(pool.path('true')), /Permission denied/)
  assert.deepEqual(fs.readFileSync(pool.path('true')), fs.readFileSync('/bin/true'))
})

test('the parked keeper cannot be watched to its end: it keeps the pool, unmounted', options, async (t) => {
  const pool = await mountTestPool(t, { size: '32M' })
  fs.writeFileSync(pool.path('text'), 'kept')
  await guestmemfs('umount', pool.pool)
  const keeper = pool.keeperPid()
  const environment = { NODE_OPTIONS: `--import ${REFUSAL}`, REFUSE_PIDFD: String(keeper) }
  const refused = await guestmemfsWith(environment, 'mount', pool.pool, pool.mountPoint)
  assert.deepEqual([refused.status, isMounted(pool.mountPoint)], [1, false])
  const holders = () =>
    searchHolders().flatMap((holder) => (holder.pool === pool.pool ? holder.process.pid : []))
  await until('no other process holds the pool', () => holders().join() === String(keeper))
  assert.match(refused.stderr, /^guestmemfs: .*pidfd_open.*EMFILE.*\n$/)
  assert.match((await guestmemfs('mount', pool.pool, pool.mountPoint)).stdout, /\(found again\)\n$/)
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
})

test('mounted by two at once: one gets it, the other is refused', options, async (t) => {
  const pool = testPoolName(t)
  const points = [testMountPoint(t), testMountPoint(t)]
  const outcomes = await Promise.all(
    points.map((point) => guestmemfs('mount', pool, point, '-o', 'size=32M')),
  )
  assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), [0, 1])
  assert.deepEqual(
    points.map(isMounted),
    outcomes.map(({ status }) => status === 0),
  )
  const loser = outcomes.find(({ status }) => status === 1)
  assert.match(loser?.stderr ?? '', /^guestmemfs: pool '\S+' is (being mounted by|mounted on) .*\n$/)
})
