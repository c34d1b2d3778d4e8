/**
 * A poisoned page of the image of a carve-out, which lies in the region itself and cannot be punched. The
 * test truncates the file that replaces /dev/mem: the server's next store there raises SIGBUS, as on a
 * poisoned page.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { geometryOf } from '../../src/fs/image/image-format.ts'
import { MIB } from '../../src/values/units.ts'
import { cannotMountMemoryFile, mapRam, mountMemoryFile } from './memory-file.ts'
import { poolLogLines } from './pool-log.ts'
import { assertClean, until } from './support.ts'

const PAGE = 4096
/** How many servers one request may end (src/server/dispatch.ts). */
const MOST_DEATHS = 3
const ANSWER_MS = 60_000

/** Never blocks this process: a request that ends every server has no answer. */
const answerInTime = (asked: Promise<unknown>): Promise<string> =>
  Promise.race([
    asked.then(
      () => 'ok',
      ({ code }) => code,
    ),
    sleep(ANSWER_MS, 'no answer', { ref: false }),
  ])

test('a poisoned page of the log in a carve-out: the request gets EIO, reads and guests go on', {
  skip: cannotMountMemoryFile,
  timeout: 240_000,
}, async (t) => {
  const pool = await mountMemoryFile(t, 128 * MIB)
  const { path, image } = pool
  fs.writeFileSync(path('text'), 'kept')
  const guest = await mapRam(pool)
  guest[5 * MIB] = 55
  const keeper = pool.keeperPid()
  const memory = fs.openSync(pool.file.path, 'r+')
  t.after(() => fs.closeSync(memory))
  const { size } = fs.fstatSync(memory)
  const [, segment] = geometryOf(image.lengthBytes).segmentOffsets
  const tail = Buffer.alloc(8)
  fs.readSync(memory, tail, 0, 8, image.start + segment + 8)
  const end = image.start + segment + tail.readUInt32LE(0) + 8
  fs.ftruncateSync(memory, Math.ceil(end / PAGE) * PAGE)

  let answer = 'ok'
  for (let number = 0; answer === 'ok'; number++) {
    assert.ok(number < 2000, 'the server never touched the page')
    answer = await answerInTime(fs.promises.mkdir(path(`folder ${number}`)))
  }
  assert.equal(answer, 'EIO')
  const deaths = poolLogLines(pool.pool).filter((line) => /died \(SIGBUS\)/.test(line))
  assert.equal(deaths.length, MOST_DEATHS, poolLogLines(pool.pool).join('\n'))
  assert.equal(pool.keeperPid(), keeper)
  assert.equal(fs.readFileSync(path('text'), 'utf8'), 'kept')
  guest[6 * MIB] = 66
  assert.deepEqual([guest[5 * MIB], guest[6 * MIB]], [55, 66])

  // As where firmware has repaired it: what was acknowledged is there.
  fs.ftruncateSync(memory, size)
  await until('a folder is made', async () => (await answerInTime(fs.promises.mkdir(path('more')))) === 'ok')
  assert.equal(fs.readFileSync(path('text'), 'utf8'), 'kept')
  await assertClean(pool.pool, pool.tree.run)
})
