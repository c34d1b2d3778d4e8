/**
 * Memory of a region that fails under a served pool, as the kernel's log says it: recorded, shown, never used
 * again, also by the next pool there. /dev/mem is a file, and the kernel's log a FIFO that the test writes.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { getxattr } from '../../src/linux/xattr.ts'
import { MIB } from '../../src/values/units.ts'
import { readPrinted } from '../../testbed/printed-json.ts'
import {
  cannotMountMemoryFile,
  type MemoryFile,
  type MemoryFilePool,
  mountMemoryFile,
  RANGE_NAME,
} from './memory-file.ts'
import { poolLogLines } from './pool-log.ts'
import { assertClean, kill, testPoolName, until } from './support.ts'

const BLOCK = 2 * MIB
const PAGE = 4096
const RANGE_BYTES = 128 * MIB
const TOTAL_BLOCKS = 60
const options = { skip: cannotMountMemoryFile, timeout: 180_000 }

const logOf = ({ path }: MemoryFile): string => join(dirname(path), 'kmsg')

/**
 * The sources take a FIFO for the kernel's log. It stays open, so that no reader finds its end. `fail`: one
 * record; the next one only when this one has been read, for a FIFO joins what is written.
 */
async function mountWithLog(t: TestContext) {
  let log = -1
  const pool = await mountMemoryFile(t, RANGE_BYTES, (file) => {
    execFileSync('mkfifo', [logOf(file)])
    log = fs.openSync(logOf(file), 'r+')
    return [['src/linux/memory-failure-log.ts', "'/dev/kmsg'", `'${logOf(file)}'`]]
  })
  t.after(() => fs.closeSync(log))
  const fail = (address: number): void => {
    const text = `Memory failure: 0x${(address / PAGE).toString(16)}: memory outside kernel control`
    fs.writeSync(log, `3,17,4711,-;${text}\n`)
  }
  return { pool, fail, next: testPoolName(t) }
}

function json(path: string, name: string) {
  const value = getxattr(path, `guestmemfs.${name}`)
  assert.ok(value instanceof Uint8Array, `${name}: ${value}`)
  return JSON.parse(Buffer.from(value).toString())
}

const start = Number(RANGE_NAME)

/** Takes every block that a file can get. Returns which those are, and deletes the files. */
async function takeAll({ path }: MemoryFilePool): Promise<number[]> {
  const taken: number[] = []
  for (let number = 0; number <= TOTAL_BLOCKS; number++) {
    const file = path(`taken-${number}`)
    await fs.promises.writeFile(file, '')
    const failed = await fs.promises.truncate(file, BLOCK).catch(({ code }) => code)
    if (failed !== undefined) {
      assert.equal(failed, 'ENOSPC')
      break
    }
    for (const { poolOffsetBytes } of json(file, 'extents')) taken.push(poolOffsetBytes / BLOCK)
  }
  for (const name of await fs.promises.readdir(path('.')))
    if (name.startsWith('taken-')) await fs.promises.rm(path(name))
  return taken.toSorted((one, other) => one - other)
}

const allBut = (...bad: number[]): number[] =>
  Array.from({ length: TOTAL_BLOCKS }, (_, block) => block).filter((block) => !bad.includes(block))

const format = async ({ tree }: MemoryFilePool, name: string, ...words: string[]) =>
  await tree.run('format', name, '--store', 'devmem', '--force', ...words)

test(
  'memory that fails under a guest and in a free block: recorded, shown, and no file gets it',
  options,
  async (t) => {
    const { pool, fail } = await mountWithLog(t)
    const { path, mountPoint, tree } = pool
    await fs.promises.writeFile(path('ram'), '')
    await fs.promises.truncate(path('ram'), 4 * BLOCK)
    const { offsetBytes } = json(path('ram'), 'map')
    const underGuest = (offsetBytes + BLOCK - start) / BLOCK
    const free = TOTAL_BLOCKS - 1
    assert.ok(underGuest !== free)
    fail(offsetBytes + BLOCK + 5 * PAGE)
    await until('the first is recorded', () => json(mountPoint, 'health').badBlocksInFiles === 1)
    fail(start + free * BLOCK)
    await until('the second is recorded', () => json(mountPoint, 'health').badBlocks === 1)
    const inFile = {
      poolOffsetBytes: underGuest * BLOCK,
      lengthBytes: BLOCK,
      startByte: start + underGuest * BLOCK,
      ino: fs.statSync(path('ram')).ino,
      fileOffsetBytes: BLOCK,
      file: 'ram',
    }
    const unused = { poolOffsetBytes: free * BLOCK, lengthBytes: BLOCK, startByte: start + free * BLOCK }
    assert.deepEqual(json(mountPoint, 'bad'), [inFile, unused])
    const failed = `memory has failed at 0x${inFile.startByte.toString(16)}+2M: it is recorded as bad`
    assert.ok(
      poolLogLines(pool.pool).some((line) => line.includes(failed)),
      poolLogLines(pool.pool).join('\n'),
    )

    const [status, list, doctor] = await Promise.all([
      tree.run('status', pool.pool, '-v'),
      tree.run('list'),
      tree.run('doctor'),
    ])
    assert.match(status.stdout, /^health +4M of memory is bad, .*; parts of ram are on it$/m)
    assert.match(status.stdout, /^to do +delete these files .*, and have the memory replaced$/m)
    assert.match(
      status.stdout,
      new RegExp(`^bad memory +0x${inFile.startByte.toString(16)}\\+2M \\(ram from 2M on\\)$`, 'm'),
    )
    assert.match(
      status.stdout,
      new RegExp(`^bad memory +0x${unused.startByte.toString(16)}\\+2M \\(not used\\)$`, 'm'),
    )
    assert.match(list.stdout, /^POOL +STATE +SIZE +FREE +BAD +MOUNTED ON$/m)
    assert.match(list.stdout, new RegExp(`^${pool.pool} +mounted +120M +\\S+ +4M +`, 'm'))
    assert.match(list.stdout, new RegExp(`^${path('ram')} +8M +2M +1 `, 'm'))
    assert.match(
      doctor.stdout,
      new RegExp(
        `^warn +bad memory of pool ${pool.pool} +4M of memory is bad, .*; parts of ram are on it$`,
        'm',
      ),
    )

    // The FIFO has nothing more: a successor knows it by the image.
    await kill(pool.serverPid())
    assert.deepEqual(json(mountPoint, 'bad'), [inFile, unused])
    fs.rmSync(path('ram'))
    await until('the file is gone', () => json(mountPoint, 'health').badBlocks === 2)
    assert.deepEqual(await takeAll(pool), allBut(underGuest, free))
    await assertClean(pool.pool, tree.run)
  },
)

test(
  'what is bad stays bad in the next pool of the region, until it is told otherwise',
  options,
  async (t) => {
    const { pool, fail, next } = await mountWithLog(t)
    const { tree, mountPoint } = pool
    fail(start + 7 * BLOCK)
    await until('it is recorded', () => json(mountPoint, 'health').badBlocks === 1)
    const umount = async () => {
      const { status, stderr } = await tree.run('umount', mountPoint)
      assert.deepEqual([stderr, status], ['', 0])
    }
    const mount = async (name: string) => {
      const { status, stderr } = await tree.run('mount', name, mountPoint, '-o', 'store=devmem')
      assert.deepEqual([stderr, status], ['', 0])
    }
    await umount()
    for (const [words, bad] of [
      [[], [7]],
      [
        ['--bad', `${RANGE_NAME}+2M,0x${(start + 9 * BLOCK - 1).toString(16)}+2`],
        [0, 7, 8, 9],
      ],
      [['--forget-bad', '--bad', `0x${(start + 3 * BLOCK).toString(16)}`], [3]],
      [[], [3]],
    ] as const) {
      const { stdout, stderr, status } = await format(pool, next, ...words)
      assert.deepEqual([stderr, status], ['', 0])
      assert.equal(stdout, `${next} on ${RANGE_NAME}, 120M: empty, ${2 * bad.length}M of it bad\n`)
      await mount(next)
      assert.deepEqual(await takeAll(pool), allBut(...bad), words.join(' '))
      await assertClean(next, tree.run)
      await umount()
    }
    const { stdout } = await format(pool, next, '--forget-bad', '--json')
    assert.deepEqual(readPrinted('format', stdout), {
      pool: next,
      region: RANGE_NAME,
      sizeBytes: TOTAL_BLOCKS * BLOCK,
      badBytes: 0,
      hasLostRecord: false,
    })
  },
)

test(
  'what is no bad memory of the region is refused in one line, and nothing has changed',
  options,
  async (t) => {
    const { pool, next } = await mountWithLog(t)
    const { tree, mountPoint, image } = pool
    await fs.promises.writeFile(pool.path('kept'), 'kept')
    assert.equal((await tree.run('umount', mountPoint)).status, 0)
    for (const [bad, says] of [
      ['5', /^guestmemfs: --bad 0x5\+4K does not lie in region /],
      [`0x${(start + RANGE_BYTES - 1).toString(16)}+2`, /^guestmemfs: --bad \S+ does not lie in region /],
      [
        `0x${image.start.toString(16)}+4K`,
        /^guestmemfs: --bad \S+ is where the image of every pool of region /,
      ],
      [
        `${RANGE_NAME}+120M`,
        /^guestmemfs: all memory of region \S+ is bad: set other memory aside, or say --forget-bad/,
      ],
      ['there', /^guestmemfs: --bad 'there' is no range of memory: write ADDRESS\+SIZE, /],
    ] as const) {
      const { stdout, stderr, status } = await format(pool, next, '--bad', bad)
      assert.deepEqual([stdout, status, stderr.split('\n').length], ['', 1, 2], stderr)
      assert.match(stderr, says)
    }
    const { status, stderr } = await tree.run('mount', pool.pool, mountPoint, '-o', 'store=devmem')
    assert.deepEqual([stderr, status], ['', 0])
    assert.equal(fs.readFileSync(pool.path('kept'), 'utf8'), 'kept')
  },
)
