/**
 * Tests of what the death of a keeper means: nothing while its server runs, and a refusal with a clear
 * message when both have died.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { mountTable } from '../../src/linux/mounts.ts'
import { processStartTime } from '../../src/linux/process.ts'
import { Mapper } from './mapper.ts'
import { answerTo } from './refused.ts'
import {
  cannotMount,
  freeBlocks,
  guestmemfs,
  kill,
  mountTestPool,
  shell,
  type TestPool,
  testPoolName,
  until,
} from './support.ts'

const MIB = 1024 * 1024
const options = { skip: cannotMount, timeout: 90_000 }

test(
  'a killed keeper: the server serves on, the next mount takes it over, and no program notices',
  options,
  async (t) => {
    const pool = await mountTestPool(t, { size: '64M' })
    const { path, mountPoint } = pool
    fs.writeFileSync(path('text'), 'before')
    const fd = fs.openSync(path('text'), 'r+')
    const mapper = await Mapper.start(t, path('ram'), 8 * MIB, { create: true })
    await mapper.store(5, 55)
    const [keeper, server] = [pool.keeperPid(), pool.serverPid()]

    await kill(keeper)
    assert.equal(fs.readFileSync(path('text'), 'utf8'), 'before')
    fs.writeSync(fd, 'BE', 0)
    fs.renameSync(path('text'), path('renamed'))
    fs.truncateSync(path('ram'), 16 * MIB)
    // A new file's memory would have the server as its only holder, so the server refuses one.
    while (answerTo(() => fs.writeFileSync(path('new'), '')) === 'ok')
      fs.renameSync(path('new'), path('spare'))
    assert.equal(
      answerTo(() => fs.writeFileSync(path('new'), '')),
      'EIO',
    )
    assert.deepEqual([fs.existsSync(path('new')), await mapper.load(5)], [false, 55])
    assert.match((await guestmemfs('list')).stdout, new RegExp(`^${pool.pool} +mounted `, 'm'))
    const shown = (await guestmemfs('status', pool.pool)).stdout.trimEnd().split('\n')
    assert.equal(shown.length, 6)
    assert.match(shown[2] ?? '', new RegExp(`^served by  no keeper and server ${server} \\(\\d`))
    assert.equal(
      shown[5],
      `to do      'guestmemfs mount ${pool.pool} ${mountPoint}' has another keeper take it over`,
    )

    await t.test('unmounting would lose the memory: it is refused without --discard', async () => {
      const { status, stderr } = await guestmemfs('umount', pool.pool)
      assert.equal(status, 1)
      assert.match(stderr, /^guestmemfs: .*keeper.*died.*mount.*--discard.*\n$/)
      assert.ok(mountTable().some(({ target }) => target === mountPoint))
    })

    const adopted = await guestmemfs('mount', pool.pool, `${mountPoint}/`)
    assert.deepEqual([adopted.stderr, adopted.status], ['', 0])
    assert.match(adopted.stdout, /a new one took over\)\n$/)
    assert.match((await guestmemfs('status', pool.pool)).stdout, /^to do +nothing$/m)
    assert.notEqual(pool.keeperPid(), keeper)
    assert.notEqual(pool.serverPid(), server)
    assert.equal(processStartTime(server), undefined)
    const isWhole = async (): Promise<void> => {
      const bytes = Buffer.alloc(6)
      fs.readSync(fd, bytes, 0, 6, 0)
      assert.deepEqual([bytes.toString(), fs.readFileSync(path('renamed'), 'utf8')], ['BEfore', 'BEfore'])
      assert.deepEqual([await mapper.load(5), fs.statSync(path('ram')).size], [55, 16 * MIB])
    }
    await isWhole()
    fs.writeFileSync(path('new'), 'there is a keeper again')

    await kill(pool.serverPid())
    await isWhole()
    await mapper.store(5, 55)
    const second = await Mapper.start(t, path('ram'), 16 * MIB)
    assert.equal(await second.load(5), 55)
    await Promise.all([mapper.end(), second.end()])
    fs.closeSync(fd)
    fs.unlinkSync(path('ram'))
    await until('its blocks are back', () => freeBlocks(mountPoint) === 32 - 2)
    const { stdout } = await guestmemfs('fsck', pool.pool)
    assert.equal(stdout, `${pool.pool}: clean\n`)
  },
)

async function killBoth(pool: TestPool): Promise<void> {
  const [keeper, server] = [pool.keeperPid(), pool.serverPid()]
  await kill(keeper)
  await kill(server)
}

test(
  'keeper and server killed: the mount is dead, and the next mount reports the pool as lost',
  options,
  async (t) => {
    const pool = await mountTestPool(t, { size: '64M' })
    fs.writeFileSync(pool.path('lost'), 'gone')
    await killBoth(pool)
    assert.match(
      answerTo(() => fs.readdirSync(pool.mountPoint)),
      /^(ENOTCONN|ECONNABORTED)$/,
    )
    assert.match((await guestmemfs('list')).stdout, new RegExp(`^${pool.pool} +lost +64M`, 'm'))
    const busy = await guestmemfs('mount', testPoolName(t), pool.mountPoint)
    assert.match(busy.stderr, /^guestmemfs: \S+ is busy: pool '\S+' is mounted there; unmount it first\n$/)

    const refused = await guestmemfs('mount', pool.pool, pool.mountPoint, '-o', 'size=32M')
    assert.equal(refused.status, 1)
    assert.match(refused.stderr, /have died.*--discard.*'-o new'\n$/)
    const again = await guestmemfs('mount', pool.pool, pool.mountPoint, '-o', 'size=32M,new')
    assert.deepEqual([again.stderr, again.status], ['', 0])
    assert.match(
      again.stdout,
      /, 32M \(new pool: the processes of the former one had died, and its memory with them\)\n$/,
    )
    assert.deepEqual(fs.readdirSync(pool.mountPoint), [])
    assert.equal(mountTable().filter(({ target }) => target === pool.mountPoint).length, 1)
  },
)

test(
  'a dead mount is named, and does not hinder commands on the pools that are served',
  options,
  async (t) => {
    const [dead, served] = [await mountTestPool(t, { size: '64M' }), await mountTestPool(t, { size: '64M' })]
    await killBoth(dead)
    const complaint = new RegExp(`^guestmemfs: ${dead.mountPoint} is dead .*guestmemfs mount POOL.*\n$`)
    for (const [words, told] of [
      [['vms'], 'no VMs\n'],
      [['resume'], 'no VM is saved there\n'],
    ] as const) {
      const { status, stdout, stderr } = await guestmemfs(...words)
      assert.deepEqual([status, stdout], [1, told], words.join(' '))
      assert.match(stderr, complaint)
    }
    const update = await guestmemfs('live-update', '--kernel', '--dry-run')
    assert.equal(update.status, 1, 'its guests may run on, and a kexec would end them')
    assert.match(update.stderr, complaint)
    const shown = await guestmemfs('status', served.pool)
    assert.deepEqual([shown.status, shown.stderr, shown.stdout.trimEnd().split('\n').length], [0, '', 6])
    assert.match((await guestmemfs('status', dead.pool)).stderr, complaint)

    await guestmemfs('umount', served.mountPoint)
    const alone = await guestmemfs('resume')
    assert.deepEqual([alone.status, alone.stdout], [1, ''])
    assert.match(alone.stderr, complaint)
  },
)

test('what is left of a lost pool can be cleared away by umount', options, async (t) => {
  const pool = await mountTestPool(t, { size: '64M' })
  fs.writeFileSync(pool.path('lost'), 'gone')
  await killBoth(pool)
  const { status, stdout } = await guestmemfs('umount', pool.mountPoint)
  assert.equal(status, 0)
  assert.match(stdout, /unmounted; its processes had died, and its memory with them\n$/)
  assert.equal(
    mountTable().some(({ target }) => target === pool.mountPoint),
    false,
  )
  assert.doesNotMatch((await guestmemfs('list')).stdout, new RegExp(`^${pool.pool} `, 'm'))
})

test(
  'umount(8) of a pool without a keeper: its server holds the memory until the next mount',
  options,
  async (t) => {
    const pool = await mountTestPool(t, { size: '64M' })
    fs.writeFileSync(pool.path('text'), 'kept')
    await kill(pool.keeperPid())
    shell(`umount '${pool.mountPoint}'`)
    assert.match((await guestmemfs('list')).stdout, new RegExp(`^${pool.pool} +parked `, 'm'))
    const server = pool.serverPid()
    assert.match((await guestmemfs('mount', pool.pool, pool.mountPoint)).stdout, /a new one took over\)\n$/)
    assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
    await until('the former server ends', () => processStartTime(server) === undefined)

    await kill(pool.keeperPid())
    shell(`umount '${pool.mountPoint}'`)
    assert.match((await guestmemfs('umount', '--discard', pool.pool)).stdout, /unmounted and discarded\n$/)
  },
)
