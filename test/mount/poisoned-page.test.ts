/**
 * Tests of the effect of a poisoned page of a pool's image. The test truncates the image's memfd: the
 * server's next store there raises SIGBUS, as on a poisoned page, and every read fails.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { geometryOf, HEADER_BYTES } from '../../src/fs/image/image-format.ts'
import { processStartTime } from '../../src/linux/process.ts'
import { Mapper } from './mapper.ts'
import { poolLogLines } from './pool-log.ts'
import { answerTo } from './refused.ts'
import { assertClean, cannotMount, guestmemfs, kill, mountTestPool, type TestPool, until } from './support.ts'

const MIB = 1024 * 1024
const PAGE = 4096
const options = { skip: cannotMount, timeout: 90_000 }

/** Opens the image's memfd, which the keeper holds. */
function openImage({ keeperPid }: TestPool): number {
  const folder = `/proc/${keeperPid()}/fd`
  const name = fs.readdirSync(folder).find((fd) => {
    try {
      return fs.readlinkSync(`${folder}/${fd}`).startsWith('/memfd:guestmemfs:image')
    } catch {
      return false // The keeper has closed it meanwhile.
    }
  })
  assert.ok(name !== undefined)
  return fs.openSync(`${folder}/${name}`, 'r+')
}

/** The first page after the log of a new pool: the log's segment is the last part of the area. */
function endOfLog(image: number): number {
  const { size } = fs.fstatSync(image)
  const [, segment] = geometryOf(size).segmentOffsets
  const tail = Buffer.alloc(8)
  fs.readSync(image, tail, 0, 8, segment + 8)
  return Math.ceil((segment + tail.readUInt32LE(0) + 8) / PAGE) * PAGE
}

const deaths = (pool: string): string[] => poolLogLines(pool).filter((line) => /died \(SIGBUS\)/.test(line))

test(
  'a poisoned page that holds nothing: the server dies once, and the pool is served with all that it had',
  options,
  async (t) => {
    const pool = await mountTestPool(t, { size: '64M' })
    const { path } = pool
    fs.writeFileSync(path('text'), 'kept')
    const mapper = await Mapper.start(t, path('ram'), 8 * MIB, { create: true })
    await mapper.store(5, 55)
    const image = openImage(pool)
    const { size } = fs.fstatSync(image)
    fs.ftruncateSync(image, endOfLog(image))
    const former = pool.serverPid()
    // Until the log reaches the page: the next server answers the request that did.
    for (let number = 0; processStartTime(former) !== undefined; number++) {
      assert.ok(number < 2000, 'the server never touched the page')
      fs.writeFileSync(path(`file-${number % 8}`), String(number))
      fs.rmSync(path(`file-${number % 8}`))
    }
    assert.equal(fs.readFileSync(path('text'), 'utf8'), 'kept')
    assert.deepEqual([deaths(pool.pool).length, fs.fstatSync(image).size], [1, size])
    assert.ok(poolLogLines(pool.pool).some((line) => /\d+ pages of the image are poisoned/.test(line)))
    assert.deepEqual(fs.readdirSync(pool.mountPoint).sort(), ['ram', 'text'])
    fs.writeFileSync(path('more'), 'and more')
    assert.equal(await mapper.load(5), 55)
    await mapper.end()
    fs.closeSync(image)
    await assertClean(pool.pool)
  },
)

test('a poisoned page that recovery needs: nothing wrong is served, and guests go on', options, async (t) => {
  const pool = await mountTestPool(t, { size: '64M' })
  const mapper = await Mapper.start(t, pool.path('ram'), 8 * MIB, { create: true })
  await mapper.store(5, 55)
  const image = openImage(pool)
  fs.ftruncateSync(image, HEADER_BYTES)
  const child = fs.promises.writeFile(pool.path('new'), 'never').catch(() => {})
  const isRefused = (line: string): boolean =>
    /refused its image|could not be started.*lost memory/.test(line)
  await until('the image is refused', () => poolLogLines(pool.pool).some(isRefused))
  assert.equal(deaths(pool.pool).length, 1)
  await mapper.store(6, 66)
  assert.deepEqual([await mapper.load(5), await mapper.load(6)], [55, 66])
  fs.closeSync(image)
  // Its owner deletes it when the guest has ended.
  await mapper.kill()
  const { status, stderr } = await guestmemfs('umount', '--force', '--discard', pool.pool)
  assert.deepEqual([status, stderr], [0, ''])
  await child
  assert.notEqual(
    answerTo(() => fs.readFileSync(pool.path('ram'))),
    'ok',
  )
})

test('a parked pool whose image has poisoned pages: one line, nothing else is lost', options, async (t) => {
  const pool = await mountTestPool(t, { size: '64M' })
  fs.writeFileSync(pool.path('text'), 'kept')
  assert.match((await guestmemfs('umount', pool.pool)).stdout, /parked/)
  const keeper = pool.keeperPid()
  const image = openImage(pool)
  const { size } = fs.fstatSync(image)
  const whole = Buffer.alloc(endOfLog(image))
  fs.readSync(image, whole, 0, whole.length, 0)
  const mount = () => guestmemfs('mount', pool.pool, pool.mountPoint)

  await t.test(
    'one that recovery needs: refused with the reason, and the keeper still holds the pool',
    async () => {
      fs.ftruncateSync(image, HEADER_BYTES)
      for (let time = 0; time < 2; time++) {
        const { status, stderr } = await mount()
        assert.equal(status, 1)
        assert.match(
          stderr,
          /^guestmemfs: pool '\S+': the machine has lost memory of the image without which the rest cannot be read\n$/,
        )
        assert.equal(pool.keeperPid(), keeper)
        assert.notEqual(processStartTime(keeper), undefined)
        assert.equal(fs.fstatSync(image).size, HEADER_BYTES, 'a refusal has changed nothing')
      }
    },
  )

  await t.test('one that recovery does not need: mounted, with all that it had', async () => {
    fs.writeSync(image, whole, 0, whole.length, 0)
    assert.ok(whole.length < size)
    const { status, stderr } = await mount()
    assert.deepEqual([stderr, status], ['', 0])
    assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
    for (let number = 0; number < 50; number++) fs.writeFileSync(pool.path(`new ${number % 4}`), 'new')
    assert.equal(fs.fstatSync(image).size, size)
  })
  fs.closeSync(image)
  await assertClean(pool.pool)
})

test('a server without a keeper whose image has poisoned pages is not ended for them', options, async (t) => {
  const pool = await mountTestPool(t, { size: '64M' })
  fs.writeFileSync(pool.path('text'), 'kept')
  const image = openImage(pool)
  const server = pool.serverPid()
  const whole = Buffer.alloc(endOfLog(image))
  fs.readSync(image, whole, 0, whole.length, 0)
  await kill(pool.keeperPid())
  const { size } = fs.fstatSync(image)
  fs.ftruncateSync(image, HEADER_BYTES)
  const { status, stderr } = await guestmemfs('mount', pool.pool, pool.mountPoint)
  // It would be, if it stored into the image now.
  fs.ftruncateSync(image, size)
  fs.writeSync(image, whole, 0, whole.length, 0)
  assert.equal(status, 1)
  // A copy of what is cut off is an image that is too short.
  assert.match(stderr, /^guestmemfs: pool '\S+': the image was made for a metadata area of [^\n]+\n$/)
  assert.notEqual(processStartTime(server), undefined)
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
  const adopted = await guestmemfs('mount', pool.pool, pool.mountPoint)
  assert.deepEqual([adopted.stderr, adopted.status], ['', 0])
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
  fs.closeSync(image)
  await assertClean(pool.pool)
})
