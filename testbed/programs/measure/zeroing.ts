/**
 * A program inside the throw-away host that prints, as JSON, how fast the server zeroes the memory of a
 * deleted file, and memset(3) the same memory; and how long the first access to the symlink of guest RAM
 * takes, on which the server makes its device. Arguments: mount point, bytes, sizes of guest RAM in MiB,
 * separated by commas.
 */
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { median } from '../../../bench/harness.ts'
import { readVirtual } from '../../../src/pool/pool-view.ts'

const [, , mountPoint = '', bytes = '0', sizes = ''] = process.argv
const MIB = 2 ** 20
const ROUNDS = 3
const FOLLOWS = 5
/** A pause between queries, which take processor time from the zeroing. */
const PAUSE_MS = 10
const file = join(mountPoint, 'measured')
const memset = join(import.meta.dirname, 'memset.ts')

function make(sizeBytes: number): void {
  closeSync(openSync(file, 'wx'))
  truncateSync(file, sizeBytes)
}

interface Geometry {
  readonly ownedBlocks: number
  readonly dirtyBlocks: number
}

/**
 * Waits until no file owns a block and each is zero. Returns the time of the zeroing in milliseconds, without
 * the search for holders before.
 */
async function untilClean(): Promise<number> {
  let started: number | undefined
  for (;;) {
    const { ownedBlocks, dirtyBlocks } = readVirtual(mountPoint, 'geometry') as Geometry
    if (dirtyBlocks > 0) started ??= performance.now()
    else if (ownedBlocks === 0) return started === undefined ? 0 : performance.now() - started
    await sleep(PAUSE_MS)
  }
}

async function zeroing(): Promise<{ memsetMs: number; zeroingMs: number }> {
  make(Number(bytes))
  // In a process of its own, which times its second pass: the first one faults the pages in.
  const { memsetMs } = JSON.parse(execFileSync(process.execPath, [memset, file, bytes], { encoding: 'utf8' }))
  rmSync(file)
  return { memsetMs, zeroingMs: await untilClean() }
}

function follow(sizeMib: number): number {
  make(sizeMib * MIB)
  const started = performance.now()
  statSync(file)
  const followMs = performance.now() - started
  rmSync(file)
  return followMs
}

await untilClean()
const rounds = []
for (let round = 0; round < ROUNDS; round += 1) rounds.push(await zeroing())
const follows: Record<string, number> = {}
for (const size of sizes.split(',').map(Number)) {
  const times = []
  for (let round = 0; round < FOLLOWS; round += 1) {
    await untilClean()
    times.push(follow(size))
  }
  follows[size] = median(times)
}
process.stdout.write(JSON.stringify({ rounds, follows }))
