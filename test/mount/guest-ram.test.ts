/**
 * Tests that guest RAM is accessed by mmap(2) alone, and shared by all processes that map it, through every
 * change of its size.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { close } from '../../src/linux/descriptors.ts'
import { punchHole, seek } from '../../src/linux/memory.ts'
import { getxattr } from '../../src/linux/xattr.ts'
import type { Fd } from '../../src/values/ids.ts'
import { Mapper } from './mapper.ts'
import { allAnswer, answersTo } from './refused.ts'
import { cannotMount, folders, freeBlocks, mountTestPool, shell, until } from './support.ts'
import { allocate, FALLOC_FL } from './system-calls.ts'

const MIB = 1024 * 1024
const kindOf = (path: string): string =>
  Buffer.from(getxattr(path, 'guestmemfs.kind') as Uint8Array).toString()

test('guest RAM', { skip: cannotMount, timeout: 120_000 }, async (t) => {
  const pool = await mountTestPool(t)
  const folder = folders(pool)

  await t.test('read and write are refused for every user', (t) => {
    const path = folder('refused')
    fs.writeFileSync(path('ram'), '')
    fs.truncateSync(path('ram'), 4 * MIB)
    assert.equal(kindOf(path('ram')), 'guest-ram')
    const fd = fs.openSync(path('ram'), 'r+') as Fd
    const appending = fs.openSync(path('ram'), 'a')
    t.after(() => [fd, appending].forEach(close as (fd: number) => void))
    const operations = {
      read: () => fs.readSync(fd, Buffer.alloc(10), 0, 10, 0),
      'read nothing': () => fs.readSync(fd, Buffer.alloc(1), 0, 1, 4 * MIB),
      write: () => fs.writeSync(fd, 'x', 0),
      'write past the end': () => fs.writeSync(fd, 'x', 4 * MIB),
      append: () => fs.writeSync(appending, 'x'),
      'read all': () => fs.readFileSync(path('ram')),
      'copy out': () => fs.copyFileSync(path('ram'), path('copy')),
    }
    assert.deepEqual(answersTo(operations), allAnswer(operations, 'EOPNOTSUPP'))
    assert.throws(() => shell(`cat '${path('ram')}'`), /Operation not supported/)
    assert.equal(fs.fstatSync(fd).size, 4 * MIB)
    assert.deepEqual([seek(fd, 5, 3), seek(fd, 5, 4)], [5, 4 * MIB])
  })

  await t.test('one process stores, another loads, also after both closed their descriptors', async (t) => {
    const path = folder('shared')
    // As QEMU does it: create, ftruncate and mmap on one descriptor.
    const one = await Mapper.start(t, path('ram'), 6 * MIB, { create: true })
    const two = await Mapper.start(t, path('ram'), 6 * MIB)
    await one.closeFile()
    await two.closeFile()
    await one.store(3, 33)
    await one.fill(2 * MIB, 4 * MIB, 44)
    assert.deepEqual([await two.load(3), await two.load(4 * MIB - 1), await two.load(4 * MIB)], [33, 44, 0])
    await two.store(6 * MIB - 1, 55)
    assert.equal(await one.load(6 * MIB - 1), 55)
    assert.deepEqual([await one.end(), await two.end()], ['0', '0'])
    // No process maps it any more: it keeps its bytes for the next one.
    const three = await Mapper.start(t, path('ram'), 6 * MIB)
    assert.deepEqual([await three.load(3), await three.load(6 * MIB - 1)], [33, 55])
    await three.end()
  })

  await t.test('its size changes while it is open and mapped', async (t) => {
    const path = folder('resized')
    const free = freeBlocks(pool.mountPoint)
    const fd = fs.openSync(path('ram'), 'wx+') as Fd
    t.after(() => close(fd))
    fs.ftruncateSync(fd, 4 * MIB)
    const mapper = await Mapper.start(t, path('ram'), 8 * MIB)
    await mapper.fill(0, 4 * MIB, 1)
    fs.ftruncateSync(fd, 8 * MIB)
    await mapper.store(8 * MIB - 1, 2)
    assert.deepEqual([await mapper.load(4 * MIB - 1), await mapper.load(4 * MIB)], [1, 0], 'growing keeps')
    fs.ftruncateSync(fd, 2 * MIB)
    assert.equal(freeBlocks(pool.mountPoint), free - 1)
    fs.ftruncateSync(fd, 8 * MIB)
    assert.deepEqual(
      [await mapper.load(2 * MIB - 1), await mapper.load(2 * MIB), await mapper.load(8 * MIB - 1)],
      [1, 0, 0],
      'what was cut off comes back as zeros',
    )
    fs.ftruncateSync(fd, 3 * MIB)
    await mapper.store(3 * MIB - 1, 3)
    assert.deepEqual([fs.fstatSync(fd).size, freeBlocks(pool.mountPoint)], [3 * MIB, free - 2])
    const lost = await mapper.load(6 * MIB).catch(() => mapper.ended)
    assert.equal(lost, 'SIGBUS', 'past the end there is no memory')

    // Truncated to 0, it is an ordinary file, until it is made RAM again.
    fs.ftruncateSync(fd, 0)
    assert.equal(freeBlocks(pool.mountPoint), free)
    assert.equal(fs.writeSync(fd, 'text', 0), 4)
    assert.equal(fs.readFileSync(path('ram'), 'utf8'), 'text')
    fs.ftruncateSync(fd, 4 * MIB)
    assert.equal(kindOf(path('ram')), 'ordinary')
    fs.ftruncateSync(fd, 0)
    assert.equal(allocate(fd, 0, 0, 2 * MIB), undefined)
    assert.equal(kindOf(path('ram')), 'guest-ram', 'fallocate makes RAM as well')
    fs.unlinkSync(path('ram'))
  })

  await t.test('a hole punched into it reads as zero and gives its pages back', async (t) => {
    const path = folder('punched')
    fs.writeFileSync(path('ram'), '')
    const fd = fs.openSync(path('ram'), 'r+') as Fd
    assert.equal(allocate(fd, 0, 0, 8 * MIB), undefined)
    const mapper = await Mapper.start(t, path('ram'), 8 * MIB)
    await mapper.fill(0, 8 * MIB, 7)
    const free = freeBlocks(pool.mountPoint)
    punchHole(fd, 2 * MIB, 4 * MIB)
    assert.deepEqual(
      await Promise.all([2 * MIB - 1, 2 * MIB, 6 * MIB - 1, 6 * MIB].map((offset) => mapper.load(offset))),
      [7, 0, 0, 7],
    )
    assert.deepEqual([fs.fstatSync(fd).size, freeBlocks(pool.mountPoint)], [8 * MIB, free])
    assert.equal(allocate(fd, FALLOC_FL.keepSize, 0, 8 * MIB), undefined)
    close(fd)
    await mapper.end()
    fs.unlinkSync(path('ram'))
    await until('its blocks are back', () => freeBlocks(pool.mountPoint) === free + 4)
  })
})
