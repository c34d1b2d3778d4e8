/**
 * The worker of a carve-out's server hangs, or its thread ends, in a mounted pool: within seconds the server
 * says so and ends, the keeper starts another one, and the request that waited is answered by that one.
 * Guests do not notice.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { processStartTime } from '../../src/linux/process.ts'
import { MIB } from '../../src/values/units.ts'
import { cannotMountMemoryFile, type MemoryFile, mapRam, mountMemoryFile } from './memory-file.ts'
import { poolLogLines } from './pool-log.ts'
import { assertClean, until } from './support.ts'

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

/** While it is there, the worker does that. */
const faultOf = ({ path }: MemoryFile): string => `${path}.fault`

const changesFor =
  (fault: string) =>
  (file: MemoryFile): [string, string, string][] => {
    const isThere = `process.getBuiltinModule('node:fs').existsSync('${faultOf(file)}')`
    return [[WORKER, MAP, `    if (${isThere}) ${fault}\n${MAP}`]]
  }

for (const [how, [code, said]] of Object.entries({
  hangs: [FAULTS.hangs, /worker has made no step for [45]\d\d\d ms, and has not answered \d+ requests/],
  ends: [FAULTS.ends, /worker broke: its thread ended with 3/],
} as const))
  test(`a worker that ${how}: the server is replaced, and its caller is answered`, options, async (t) => {
    const pool = await mountMemoryFile(t, RANGE_BYTES, changesFor(code))
    const { path, pool: name } = pool
    const guest = await mapRam(pool)
    guest[5 * MIB] = 55
    fs.writeFileSync(path('text'), 'before')
    const [keeper, server] = [pool.keeperPid(), pool.serverPid()]
    const logged = poolLogLines(name).length
    fs.writeFileSync(path('big'), '')
    fs.truncateSync(path('big'), BIG_BYTES)
    fs.writeFileSync(path('new'), '')
    fs.writeFileSync(faultOf(pool.file), '')
    // Its blocks are to be zeroed, and there are not as many others. This process must not wait for them
    // itself.
    await fs.promises.unlink(path('big'))
    const grown = fs.promises.truncate(path('new'), BIG_BYTES)
    await until('the server has ended', () => processStartTime(server) === undefined, 60_000)
    fs.rmSync(faultOf(pool.file))
    await grown
    assert.ok(
      poolLogLines(name)
        .slice(logged)
        .some((line) => said.test(line)),
      poolLogLines(name).join('\n'),
    )
    // The next server may answer before the keeper has written its record.
    await until('the record names another server', () => ![0, server].includes(pool.serverPid()))
    assert.equal(pool.keeperPid(), keeper)
    assert.equal(fs.statSync(path('new')).size, BIG_BYTES)
    assert.equal(fs.readFileSync(path('text'), 'utf8'), 'before')
    assert.equal(guest[5 * MIB], 55)
    await assertClean(name, pool.tree.run)
  })
