/**
 * The worker of a carve-out's server hangs, or its thread ends, in a mounted pool: within seconds the server
 * says so and ends, the keeper starts another one, and the request that waited is answered by that one.
 * Guests do not notice.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { type TestContext, test } from 'node:test'
import { processStartTime } from '../../src/linux/process.ts'
import { MIB } from '../../src/values/units.ts'
import { cannotMountMemoryFile, type MemoryFilePool, mapRam, mountMemoryFile } from './memory-file.ts'
import { poolLogLines } from './pool-log.ts'
import { assertClean, kill, until } from './support.ts'

const options = { skip: cannotMountMemoryFile, timeout: 240_000 }
const RANGE_BYTES = 128 * MIB
/** More than half of what the range has for guest RAM. */
const BIG_BYTES = 32 * MIB
const WORKER = 'src/stores/devmem/devmem-windows.ts'
const MAP = '    const [range] = ranges\n'

/** What the worker does while the file is there, at the next range that it maps. */
const FAULTS = {
  hangs: 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)',
  ends: 'process.exit(3)',
} as const

/** The server of today is one whose worker does that while `fault` is there. */
async function served(t: TestContext, fault: string): Promise<MemoryFilePool & { readonly fault: string }> {
  const pool = await mountMemoryFile(t, RANGE_BYTES)
  const file = `${pool.file.path}.fault`
  const there = `process.getBuiltinModule('node:fs').existsSync('${file}')`
  pool.tree.change(WORKER, MAP, `    if (${there}) ${fault}\n${MAP}`)
  const former = pool.serverPid()
  await kill(former)
  await until('another server serves', () => ![0, former].includes(pool.serverPid()))
  return { ...pool, fault: file }
}

for (const [how, [code, said]] of Object.entries({
  hangs: [FAULTS.hangs, /worker has made no step for [45]\d\d\d ms, and owes \d+ answers/],
  ends: [FAULTS.ends, /worker broke: its thread ended with 3/],
} as const))
  test(`a worker that ${how}: the server is replaced, and its caller is answered`, options, async (t) => {
    const pool = await served(t, code)
    const { path, pool: name } = pool
    const guest = mapRam(pool)
    guest[5 * MIB] = 55
    fs.writeFileSync(path('text'), 'before')
    const [keeper, server] = [pool.keeperPid(), pool.serverPid()]
    const logged = poolLogLines(name).length
    fs.writeFileSync(path('big'), '')
    fs.truncateSync(path('big'), BIG_BYTES)
    fs.writeFileSync(path('new'), '')
    fs.writeFileSync(pool.fault, '')
    // Its blocks are to be zeroed, and there are not as many others. This process must not wait for them itself.
    await fs.promises.unlink(path('big'))
    const grown = fs.promises.truncate(path('new'), BIG_BYTES)
    await until('the server has ended', () => processStartTime(server) === undefined, 60_000)
    fs.rmSync(pool.fault)
    await grown
    assert.ok(
      poolLogLines(name)
        .slice(logged)
        .some((line) => said.test(line)),
      poolLogLines(name).join('\n'),
    )
    assert.deepEqual([pool.keeperPid(), pool.serverPid() === server], [keeper, false])
    assert.equal(fs.statSync(path('new')).size, BIG_BYTES)
    assert.equal(fs.readFileSync(path('text'), 'utf8'), 'before')
    assert.equal(guest[5 * MIB], 55)
    await assertClean(name)
  })
