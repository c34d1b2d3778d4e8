/**
 * Tests that ordinary files keep what processes write to them, through every system call that the kernel has.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { close } from '../../src/linux/descriptors.ts'
import { punchHole, seek } from '../../src/linux/memory.ts'
import type { Fd } from '../../src/values/ids.ts'
import { Mapper } from './mapper.ts'
import { answersTo } from './refused.ts'
import { cannotMount, folders, freeBlocks, mountTestPool, shell, type TestPool } from './support.ts'
import { allocate, FALLOC_FL } from './system-calls.ts'

const MIB = 1024 * 1024
const [SEEK_DATA, SEEK_HOLE] = [3, 4]
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** How many pages of memory the only file of this size takes, by the memfd that the server has of it. */
function pagesOf({ serverPid }: TestPool, sizeBytes: number): number {
  const folder = `/proc/${serverPid()}/fd`
  const found = fs.readdirSync(folder).flatMap((fd) => {
    const stat = fs.statSync(`${folder}/${fd}`, { throwIfNoEntry: false })
    return stat?.isFile() && stat.size === sizeBytes ? stat.blocks * 512 : []
  })
  assert.equal(found.length, 1)
  return (found[0] ?? 0) / 4096
}

test('ordinary files', { skip: cannotMount, timeout: 90_000 }, async (t) => {
  const pool = await mountTestPool(t)
  const folder = folders(pool)

  await t.test('what is written is read, in one piece or many, by any program', () => {
    const path = folder('copies')
    const bytes = randomBytes(7 * MIB + 123)
    fs.writeFileSync(path('whole'), bytes)
    assert.equal(digest(fs.readFileSync(path('whole'))), digest(bytes))
    const run = (command: string): string => shell(`cd '${path()}'; ${command}`).trim()
    run('cp whole copy; cat whole > catted; dd if=whole of=small bs=4321 status=none')
    run(
      'dd if=whole of=big bs=8M status=none; dd if=whole of=direct bs=1M oflag=direct conv=fsync status=none',
    )
    assert.equal(
      run('sha256sum whole copy catted small big direct | cut -d" " -f1 | uniq'),
      digest(bytes),
      'all are the same',
    )
    run('printf hello | dd of=whole bs=1 seek=3000000 conv=notrunc status=none')
    bytes.write('hello', 3_000_000)
    assert.equal(digest(fs.readFileSync(path('whole'))), digest(bytes))
    run('cp /bin/true true; chmod 755 true; ./true')
  })

  await t.test('processes that append at once tear nothing apart', () => {
    const path = folder('append')
    const writer = (letter: string): string =>
      `(for i in $(seq 200); do echo ${letter.repeat(300)}; done >> '${path('log')}') &`
    shell(`${['a', 'b', 'c'].map(writer).join(' ')} wait`)
    const lines = fs.readFileSync(path('log'), 'utf8').trimEnd().split('\n')
    assert.equal(lines.length, 600)
    assert.ok(lines.every((line) => /^(a{300}|b{300}|c{300})$/.test(line)))
  })

  await t.test('holes read as zero, and are found', (t) => {
    const path = folder('sparse')
    const fd = fs.openSync(path('sparse'), 'w+') as Fd
    t.after(() => close(fd))
    const free = freeBlocks(pool.mountPoint)
    fs.writeSync(fd, 'end', 5 * MIB)
    assert.equal(freeBlocks(pool.mountPoint), free - 3, 'holes are promised all the same')
    assert.equal(fs.fstatSync(fd).blocks * 512, 6 * MIB)
    assert.ok(pagesOf(pool, 5 * MIB + 3) <= 512, 'and take no memory: one page, which may be a large one')
    assert.deepEqual(fs.readFileSync(path('sparse')).subarray(0, 5 * MIB), Buffer.alloc(5 * MIB))
    assert.deepEqual([seek(fd, 0, SEEK_DATA), seek(fd, 0, SEEK_HOLE)], [5 * MIB, 0])
    fs.writeSync(fd, 'x'.repeat(MIB), MIB)
    punchHole(fd, MIB + 4096, 8192)
    assert.deepEqual(
      [seek(fd, MIB, SEEK_HOLE), seek(fd, MIB + 4096, SEEK_DATA), seek(fd, 5 * MIB, SEEK_HOLE)],
      [MIB + 4096, MIB + 3 * 4096, 5 * MIB + 3],
    )
    const at = (offset: number): string => {
      const byte = Buffer.alloc(1)
      fs.readSync(fd, byte, 0, 1, offset)
      return byte.toString('latin1')
    }
    assert.deepEqual([at(MIB + 4095), at(MIB + 4096), at(MIB + 4096 + 8192)], ['x', '\0', 'x'])
    assert.equal(allocate(fd, 0, 0, 9 * MIB), undefined)
    assert.equal(fs.fstatSync(fd).size, 9 * MIB)
    assert.deepEqual(
      answersTo({
        'beyond the end': () => seek(fd, 9 * MIB, SEEK_DATA),
        'keep size past the end': () => allocate(fd, FALLOC_FL.keepSize, 9 * MIB, 1),
        'collapse a range': () => allocate(fd, FALLOC_FL.collapseRange, 0, MIB),
        'zero a range': () => allocate(fd, FALLOC_FL.zeroRange, 0, MIB),
        'nothing at all': () => allocate(fd, 0, 0, 0),
      }),
      {
        'beyond the end': 'ENXIO',
        'keep size past the end': 'EOPNOTSUPP',
        'collapse a range': 'EOPNOTSUPP',
        'zero a range': 'EOPNOTSUPP',
        'nothing at all': 'EINVAL',
      },
    )
  })

  await t.test('a mapping, a write and a read see one another', async (t) => {
    const path = folder('mapped')
    fs.writeFileSync(path('file'), 'a'.repeat(3 * MIB))
    const mapper = await Mapper.start(t, path('file'), 3 * MIB)
    await mapper.store(2 * MIB + 7, 0x62)
    const fd = fs.openSync(path('file'), 'r+')
    fs.writeSync(fd, 'c', 100)
    fs.closeSync(fd)
    assert.equal(await mapper.load(100), 0x63)
    assert.equal(fs.readFileSync(path('file'), 'latin1').slice(2 * MIB + 6, 2 * MIB + 9), 'aba')
    await mapper.end()
  })

  await t.test('truncating cuts, and growing again shows zeros', () => {
    const path = folder('truncated')
    fs.writeFileSync(path('file'), 'abcdef')
    fs.truncateSync(path('file'), 3)
    fs.truncateSync(path('file'), 6)
    assert.equal(fs.readFileSync(path('file'), 'latin1'), 'abc\0\0\0')
    // The file was not empty, so it stays an ordinary file, however large.
    fs.truncateSync(path('file'), 4 * MIB)
    assert.equal(fs.readFileSync(path('file')).length, 4 * MIB)
    fs.writeFileSync(path('file'), 'new')
    assert.equal(fs.readFileSync(path('file'), 'latin1'), 'new')
  })
})
