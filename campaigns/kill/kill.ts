/**
 * The campaign `kill`: 32 processes work on a pool's metadata and four guests on its memory, while the
 * server, the keeper, or both at once where a service manager has a third set of descriptors or the memory
 * needs no process, are killed at random moments. All acknowledged changes must be there, exactly once, and
 * nothing else; no word of a guest may be wrong; and at the end every block must be free.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { randomFrom } from '../../src/fs/image/testing/random.ts'
import { mountProblem } from '../../src/host/checks.ts'
import { installedQemu } from '../../src/host/qemu-package.ts'
import { freeBlocks, until } from '../../test/mount/support.ts'
import { cannotRunSystemd } from '../../test/mount/systemd-host.ts'
import { type Campaign, count, round, type Stage } from '../campaign.ts'
import { guestAccelerator } from './accelerator.ts'
import { GUEST_RAM_MIB, Guest } from './guests.ts'
import { killAtRandom } from './kill-at-random.ts'
import type { Lifetimes, LoadResult } from './lifetimes.ts'
import { mountPlainly } from './plain-host.ts'
import { assertSound, type PoolHost } from './pool-host.ts'
import { mountInRegion, type RegionPlace, StandIn } from './region-host.ts'
import { mountInUnit } from './unit-host.ts'

const LOAD = fileURLToPath(new URL('load.ts', import.meta.url))
const PROCESSES = 32
const GUESTS = 4
/** A block for each file, and some for files that are being renamed. */
const BLOCKS_EACH = 20
const SIZE_MIB = PROCESSES * BLOCKS_EACH * 2 + GUESTS * GUEST_RAM_MIB

const ROUND_SECONDS = 60
/** Time of a round besides the kills: to start all processes, and for the checks afterwards. */
const AROUND_SECONDS = 25
/** In an emulated host too, where 32 processes take minutes to start. */
const SETTLE_MS = 600_000

/** A pool of that name, new and mounted. */
export type MakeHost = (pool: string) => PoolHost | Promise<PoolHost>

const loadName = (index: number): string => `load-${index}`
const LOADS = Array.from({ length: PROCESSES }, (_, index) => loadName(index))

interface RunningLoad {
  readonly seed: number
  readonly child: ChildProcess
  readonly ended: Promise<unknown>
  readonly output: Promise<string>
  /** What it found wrong. */
  readonly said: Promise<string>
}

function startLoad(host: PoolHost, index: number, seed: number): RunningLoad {
  const directory = join(host.mountPoint, loadName(index))
  const line = [...host.inside(), process.execPath, LOAD, directory, String(seed), host.memory]
  const child = spawn(line[0] as string, line.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] })
  // A process that has failed does not read the line that ends it.
  child.stdin?.on('error', () => {})
  const [output, said] = [child.stdout, child.stderr].map((stream) => text(stream as NodeJS.ReadableStream))
  return { seed, child, ended: once(child, 'close'), output, said } as RunningLoad
}

async function endLoad(
  { seed, child, ended, output, said }: RunningLoad,
  lifetimes: Lifetimes,
): Promise<LoadResult> {
  child.stdin?.end(`${JSON.stringify(lifetimes)}\n`)
  await ended
  const wrong = /^\w*Error.*(?:\n.*){0,12}/m.exec(await said)?.[0] ?? (await said).slice(-1000)
  const end = child.signalCode ?? `status ${child.exitCode}`
  assert.equal(child.exitCode, 0, `the load with seed ${seed} saw something wrong (${end}): ${wrong}`)
  return JSON.parse(await output) as LoadResult
}

interface RoundParts {
  readonly host: PoolHost
  readonly folder: string
  readonly pool: string
  readonly seed: number
  readonly seconds: number
  readonly isStopped: () => boolean
}

async function oneRound({
  host,
  folder,
  pool,
  seed,
  seconds,
  isStopped,
}: RoundParts): Promise<Record<string, number>> {
  const random = randomFrom(seed)
  const byHand = host.memory === 'region' ? 'roundsInRegion' : 'roundsByHand'
  const figures: Record<string, number> = { [host.inside().length > 0 ? 'roundsInUnit' : byHand]: 1 }
  const root = host.root()
  const folders = (): string[] => readdirSync(root).filter((name) => name.startsWith('load-'))
  const accelerator = await guestAccelerator()
  const start = (_: unknown, index: number): Guest => Guest.start(host, folder, index + 1, accelerator)
  const guests = Array.from({ length: GUESTS }, start)
  const loads: RunningLoad[] = []
  try {
    await until('every guest ticks', () => guests.every((guest) => guest.check() > 1), SETTLE_MS)
    const free = freeBlocks(root)
    for (const [index, name] of LOADS.entries()) {
      mkdirSync(join(root, name))
      loads.push(startLoad(host, index, seed * PROCESSES + index))
    }
    const isBusy = (name: string): boolean => readdirSync(join(root, name)).length > 0
    await until('every process is at work', () => folders().every(isBusy), SETTLE_MS)
    const endMs = performance.now() + seconds * 1000
    const isOver = (): boolean =>
      performance.now() > endMs || isStopped() || loads.some(({ child }) => child.exitCode !== null)
    const lifetimes = await killAtRandom(host, random, isOver, figures)
    await host.settled()
    const results = await Promise.all(loads.map((load) => endLoad(load, lifetimes)))
    for (const { operations, files, refused, lost, longestHeldMs, cut, cutAndApplied } of results) {
      count(figures, 'operations', operations)
      count(figures, 'filesChecked', files)
      count(figures, 'refusedWithoutKeeper', refused)
      count(figures, 'lostWithBoth', lost)
      if (host.memory === 'region') {
        count(figures, 'cutByBoth', cut)
        count(figures, 'cutAndApplied', cutAndApplied)
      }
      figures.lostHeldMsMost = Math.max(figures.lostHeldMsMost ?? 0, longestHeldMs)
    }
    assertSound(host, pool)
    for (const name of folders()) rmSync(join(root, name), { recursive: true })
    await until('every block is back', () => freeBlocks(root) === free, SETTLE_MS)
    for (const guest of guests) count(figures, 'ticks', guest.check())
  } finally {
    for (const { child, ended } of loads) {
      child.kill('SIGKILL')
      await ended
    }
    for (const guest of guests) await guest.end()
  }
  return figures
}

/** Rounds until the time is over; `hostOf`: the pool of a round with that seed. */
export async function killRounds(stage: Stage, hostOf: (seed: number) => MakeHost): Promise<void> {
  while (stage.secondsLeft() > 1) {
    const seed = stage.seed()
    const seconds = Math.max(5, Math.min(ROUND_SECONDS, stage.secondsLeft() - AROUND_SECONDS))
    const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-kill-'))
    await round(stage, seed, async (figures) => {
      const pool = `kill-${process.pid}-${seed}`
      const host = await hostOf(seed)(pool)
      try {
        Object.assign(
          figures,
          await oneRound({ host, folder, pool, seed, seconds, isStopped: () => stage.secondsLeft() <= 0 }),
        )
      } finally {
        await host.end()
      }
    })
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A pool in a region of this machine. */
export const killInRegion =
  (place: RegionPlace): MakeHost =>
  (pool) =>
    mountInRegion(pool, place, LOADS)

/** Of four rounds one by hand, one in a region, and two in a unit, where there is a service manager. */
async function run(stage: Stage): Promise<void> {
  const canUseUnit = cannotRunSystemd === false
  if (!canUseUnit) stage.say('no systemd here: a pool of memfds is never without both processes at once')
  const size = `${SIZE_MIB}M`
  const standIn = new StandIn()
  const byHand: MakeHost = (pool) => mountPlainly(pool, size)
  const inUnit: MakeHost = canUseUnit ? (pool) => mountInUnit(pool, size) : byHand
  const turns = [byHand, killInRegion(standIn.place), inUnit, inUnit] as const
  try {
    await killRounds(stage, (seed) => turns[seed % turns.length] as MakeHost)
  } finally {
    standIn.remove()
  }
}

export const kill: Campaign = {
  about: 'server and keeper killed at random moments under 32 processes of metadata load and four guests',
  obstacle: async () => {
    const finding = mountProblem()
    if (finding !== undefined) return `${finding.subject}: ${finding.message} (${finding.advice})`
    return installedQemu() === undefined ? 'QEMU is missing: npm run setup installs it' : undefined
  },
  run,
}
