/**
 * The campaign `syscalls`: it kills the server at the entry of each system call that its thread, or its
 * worker, makes for each operation, and keeper, server and command at each call of a takeover that changes
 * who holds what, in a pool of memfds and in a region. The caller of the operation must get the usual answer,
 * the tree must be as without the kill, fsck must find nothing, and a guest's memory must be unchanged.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Random, randomFrom } from '../../src/fs/image/testing/random.ts'
import { mountProblem } from '../../src/host/checks.ts'
import { installedQemu } from '../../src/host/qemu-package.ts'
import { until } from '../../test/mount/support.ts'
import { type Campaign, type Round, round, type Stage } from '../campaign.ts'
import { guestAccelerator } from '../kill/accelerator.ts'
import { Guest } from '../kill/guests.ts'
import { mountPlainly } from '../kill/plain-host.ts'
import type { PoolHost } from '../kill/pool-host.ts'
import { mountRegionPlainly, type RegionPlace, StandIn } from '../kill/region-host.ts'
import { OPERATIONS } from './operations.ts'
import { type CallSite, siteName, straceObstacle } from './strace.ts'
import { ANSWER_MS, TracedPool } from './traced-pool.ts'

const TAKEOVER = 'takeover'

/** A kind of memory, and a new pool in it. */
export interface Kind {
  readonly store: string
  readonly host: (pool: string) => PoolHost
}

interface Pair {
  readonly store: string
  readonly operation: string
  readonly site: CallSite
}
const keyOf = ({ store, operation, site }: Pair): string => `${store} ${operation} ${siteName(site)}`

const NAMES = [...Object.keys(OPERATIONS), TAKEOVER]
/** Of one operation, before the next one has its turn: a run of one minute has several. */
const PAIRS_A_TURN = 6

async function pairsOf(traced: TracedPool, store: string, operation: string): Promise<Pair[]> {
  const sites = await (operation === TAKEOVER ? traced.takeoverSites() : traced.sitesOf(operation))
  return sites.map((site) => ({ store, operation, site }))
}

/** So that a run of one minute tests others each time. */
function shuffled<T>(all: readonly T[], random: Random): T[] {
  const left = [...all]
  return all.map(() => left.splice(random.below(left.length), 1)[0] as T)
}

const ticking = (guest: Guest): Promise<void> => until('the guest ticks', () => guest.check() > 1, ANSWER_MS)

/** The pairs of one store that are left, in an equal part of the time that is left. */
async function runStore(stage: Stage, { store, host: make }: Kind, endSeconds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-syscalls-'))
  const pool = `syscalls-${process.pid}-${store}`
  const host = make(pool)
  let guest: Guest | undefined
  try {
    guest = Guest.start(host, folder, 1, await guestAccelerator())
    await ticking(guest)
    const traced = new TracedPool(host, pool, guest, folder)
    if (await runPairs(stage, store, traced, endSeconds)) stage.say(`${store}: every pair is done`)
  } finally {
    await guest?.end()
    await host.end()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Returns whether none is left. */
async function runPairs(
  stage: Stage,
  store: string,
  traced: TracedPool,
  endSeconds: number,
): Promise<boolean> {
  const done = new Set(stage.done.flatMap(({ key, failure }) => (failure === undefined ? (key ?? []) : [])))
  const seed = stage.seed()
  const random = randomFrom(seed)
  const left = new Map<string, Pair[]>()
  for (
    let names = shuffled(NAMES, random);
    names.length > 0;
    names = names.filter((name) => left.get(name)?.length)
  )
    for (const name of names) {
      if (stage.secondsLeft() <= endSeconds) return false
      const pairs = left.get(name) ?? shuffled(await pairsOf(traced, store, name), random)
      const isLeft = (pair: Pair): boolean => !done.has(keyOf(pair))
      for (const pair of pairs.filter(isLeft).slice(0, PAIRS_A_TURN)) {
        if (stage.secondsLeft() <= endSeconds) return false
        // After a failure the pool may not be fit for the next pair.
        if (!(await onePair(stage, traced, pair, seed))) return false
        done.add(keyOf(pair))
      }
      left.set(name, pairs.filter(isLeft))
    }
  return true
}

function onePair(stage: Stage, traced: TracedPool, pair: Pair, seed: number): Promise<boolean> {
  const isTakeover = pair.operation === TAKEOVER
  const work = async (figures: Record<string, number>): Promise<void> => {
    const isKilled = await (isTakeover
      ? traced.killInTakeover(pair.site)
      : traced.killIn(pair.operation, pair.site))
    figures[isTakeover ? 'takeoverPairs' : 'operationPairs'] = 1
    figures[isKilled ? 'kills' : 'notReached'] = 1
  }
  return round(stage, seed, work, keyOf(pair))
}

/** Each store has an equal part of the time that is left to it. */
export async function runStores(stage: Stage, kinds: readonly Kind[]): Promise<void> {
  for (const [index, kind] of kinds.entries()) {
    const others = kinds.length - index - 1
    await runStore(stage, kind, (stage.secondsLeft() * others) / (others + 1))
  }
}

export const kindIn = (place: RegionPlace, store = place.store): Kind => ({
  store,
  host: (pool) => mountRegionPlainly(pool, place),
})

async function run(stage: Stage): Promise<void> {
  const standIn = new StandIn()
  const memfd: Kind = { store: 'memfd', host: (pool) => mountPlainly(pool, '512M') }
  try {
    await runStores(stage, [memfd, kindIn(standIn.place, 'region')])
  } finally {
    standIn.remove()
  }
}

/** The number of done pairs at which a process was killed, by operation. */
function known(rounds: readonly Round[]): Record<string, number> {
  const kills: Record<string, number> = {}
  for (const { key = '', figures } of rounds) {
    const operation = `kills in ${key.slice(0, key.lastIndexOf(' '))}`
    kills[operation] = (kills[operation] ?? 0) + (figures.kills ?? 0)
  }
  return kills
}

export const syscalls: Campaign = {
  about: 'a kill on the way into each system call of each operation, and of a takeover',
  obstacle: async () => {
    const finding = mountProblem()
    if (finding !== undefined) return `${finding.subject}: ${finding.message} (${finding.advice})`
    if (installedQemu() === undefined) return 'QEMU is missing: npm run setup installs it'
    return await straceObstacle()
  },
  known,
  run,
}
