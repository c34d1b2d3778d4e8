/**
 * Tests that the server refuses an image which it cannot serve, changes no byte of it, and that the holder of
 * its pool keeps it.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { geometryOf } from '../../src/fs/image/image-format.ts'
import { findAreas } from '../../src/keeper/takeover/held-areas.ts'
import { seek } from '../../src/linux/memory.ts'
import { processStartTime } from '../../src/linux/process.ts'
import { Errno } from '../../src/values/errno.ts'
import type { Fd } from '../../src/values/ids.ts'
import { beforeUnmount, cannotMount, guestmemfs, mountTestPool, poolRecord, until } from './support.ts'

const HEADER_BYTES = 4096
const VERSION_AT = 8
const CRC_AT = HEADER_BYTES - 4
const [SEEK_DATA, SEEK_HOLE] = [3, 4]

/** The image of a pool, reached through a process that holds it. */
class HeldImage {
  readonly #path: string

  constructor(pid: number) {
    this.#path = `/proc/${pid}/fd/${findAreas(pid).image}`
  }

  #with<Result>(work: (fd: Fd) => Result): Result {
    const fd = fs.openSync(this.#path, 'r+') as Fd
    try {
      return work(fd)
    } finally {
      fs.closeSync(fd)
    }
  }

  get bytes(): number {
    return this.#with((fd) => fs.fstatSync(fd).size)
  }

  read(offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(length)
    this.#with((fd) => fs.readSync(fd, bytes, 0, length, offset))
    return bytes
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#with((fd) => fs.writeSync(fd, bytes, 0, bytes.length, offset))
  }

  /** Of every byte outside of holes, and of its place. */
  get digest(): string {
    return this.#with((fd) => {
      const hash = createHash('sha256')
      for (let at = seek(fd, 0, SEEK_DATA); !(at instanceof Errno); ) {
        const end = seek(fd, at, SEEK_HOLE) as number
        const bytes = Buffer.alloc(end - at)
        fs.readSync(fd, bytes, 0, bytes.length, at)
        hash.update(`${at}:`).update(bytes)
        at = seek(fd, end, SEEK_DATA)
      }
      return hash.digest('hex')
    })
  }
}

function unknownVersion(header: Buffer): Buffer {
  const changed = Buffer.from(header)
  changed.writeUInt32LE(99, VERSION_AT)
  changed.writeUInt32LE(crc32(changed.subarray(VERSION_AT, CRC_AT)), CRC_AT)
  return changed
}

const flipped = (bytes: Buffer): Buffer =>
  Buffer.from(bytes.map((byte, index) => (index === 0 ? byte ^ 0x10 : byte)))

test('an image that cannot be served is refused unchanged, and its pool is found again when it is whole', {
  skip: cannotMount,
  timeout: 120_000,
}, async (t) => {
  const pool = await mountTestPool(t, { size: '128M' })
  for (let index = 0; index < 50; index++) fs.writeFileSync(pool.path(`file-${index}`), `contents ${index}`)
  assert.equal((await guestmemfs('umount', pool.pool)).status, 0)
  const image = new HeldImage(pool.keeperPid())
  const { slotOffsets } = geometryOf(image.bytes)
  const keeper = pool.keeperPid()

  const damages: { what: string; at: number; length: number; to: (bytes: Buffer) => Buffer; says: RegExp }[] =
    [
      {
        what: 'another version',
        at: 0,
        length: HEADER_BYTES,
        to: unknownVersion,
        says: /the image has format version 99, this guestmemfs reads 1/,
      },
      {
        what: 'a bit of the header',
        at: 200,
        length: 1,
        to: flipped,
        says: /header of the image fails its checksum/,
      },
      { what: 'another magic word', at: 0, length: 8, to: flipped, says: /does not hold a guestmemfs image/ },
      {
        what: 'a bit of the checkpoint',
        at: slotOffsets[1] + 40,
        length: 1,
        to: flipped,
        says: /checkpoint/,
      },
    ]
  for (const { what, at, length, to, says } of damages) {
    const whole = image.read(at, length)
    image.write(at, to(whole))
    const digest = image.digest
    const refused = await guestmemfs('mount', pool.pool, pool.mountPoint)
    assert.equal(refused.status, 1, what)
    assert.match(refused.stderr, /^guestmemfs: [^\n]+\n$/, what)
    assert.match(refused.stderr, says, what)
    assert.deepEqual([poolRecord(pool.pool).state, pool.keeperPid()], ['parked', keeper], what)
    const checked = await guestmemfs('fsck', pool.pool)
    assert.deepEqual([checked.status, checked.stderr], [1, ''], what)
    assert.match(checked.stdout, says, what)
    assert.equal(image.digest, digest, `${what}: not a byte was changed`)
    image.write(at, whole)
  }

  assert.deepEqual(await guestmemfs('fsck', pool.pool), {
    status: 0,
    stdout: `${pool.pool}: clean\n`,
    stderr: '',
  })
  assert.equal((await guestmemfs('mount', pool.pool, pool.mountPoint)).status, 0)
  for (let index = 0; index < 50; index++)
    assert.equal(fs.readFileSync(pool.path(`file-${index}`), 'utf8'), `contents ${index}`)
})

test('a keeper that cannot take over leaves the server as it was, serving', {
  skip: cannotMount,
  timeout: 60_000,
}, async (t) => {
  const pool = await mountTestPool(t, { size: '64M' })
  fs.writeFileSync(pool.path('text'), 'kept')
  const fd = fs.openSync(pool.path('text'), 'r+')
  beforeUnmount(t, () => fs.closeSync(fd))
  const [keeper, server] = [pool.keeperPid(), pool.serverPid()]
  process.kill(keeper, 'SIGKILL')
  await until('the keeper ends', () => processStartTime(keeper) === undefined)
  // As for a release that does not read the image's format.
  const image = new HeldImage(server)
  const header = image.read(0, HEADER_BYTES)
  image.write(0, unknownVersion(header))
  const refused = await guestmemfs('mount', pool.pool, pool.mountPoint)
  assert.equal(refused.status, 1)
  assert.match(refused.stderr, /^guestmemfs: pool '\S+': the image has format version 99, [^\n]+\n$/)
  assert.equal(pool.serverPid(), server)
  fs.writeSync(fd, 'KE', 0)
  fs.mkdirSync(pool.path('directory'))
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'KEpt')

  image.write(0, header)
  assert.equal((await guestmemfs('mount', pool.pool, pool.mountPoint)).status, 0)
  assert.notEqual(pool.serverPid(), server)
  assert.deepEqual(fs.readdirSync(pool.mountPoint).toSorted(), ['directory', 'text'])
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'KEpt')
})

test('fsck and dump of files that hold no image', { skip: cannotMount, timeout: 60_000 }, async (t) => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'guestmemfs-garbage-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const files = {
    empty: Buffer.alloc(0),
    short: randomBytes(100),
    garbage: randomBytes(1024 * 1024),
    zeros: Buffer.alloc(1024 * 1024),
  }
  for (const [name, bytes] of Object.entries(files)) {
    const path = join(folder, name)
    fs.writeFileSync(path, bytes)
    const checked = await guestmemfs('fsck', path)
    assert.equal(checked.status, 1, name)
    assert.match(
      checked.stdout + checked.stderr,
      /^[^\n]+(no image|not hold a guestmemfs image)[^\n]*\n$/,
      name,
    )
    const dumped = await guestmemfs('dump', path)
    assert.deepEqual([dumped.status, dumped.stdout], [1, ''], name)
    assert.match(dumped.stderr, /^guestmemfs: [^\n]+\n$/, name)
    assert.deepEqual(fs.readFileSync(path), bytes, name)
  }
  const directory = await guestmemfs('fsck', folder)
  assert.equal(directory.status, 1)
  assert.match(directory.stderr, /^guestmemfs: \S+ is not a regular file: there is no image in it\n$/)
})
