/**
 * The campaign `syscalls`: it kills the server at the entry of each system call that the server makes for
 * each operation, and keeper, server and command at each call of a takeover that changes who holds what. The
 * caller of the operation must get the usual answer, the tree must be as without the kill, fsck must find
 * nothing, and a guest's memory must be unchanged.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { randomFrom } from '../../src/fs/image/testing/random.ts'
import { mountObstacle } from '../../src/host/checks.ts'
import { installedQemu } from '../../src/host/qemu-package.ts'
import { processStartTime } from '../../src/linux/process.ts'
import { CLI, until } from '../../test/mount/support.ts'
import { type Campaign, type Round, round, type Stage } from '../campaign.ts'
import { Guest } from '../kill/guests.ts'
import { mountPlainly } from '../kill/plain-host.ts'
import { assertSound, type PoolHost } from '../kill/pool-host.ts'
import { OPERATIONS, prepare, tell } from './operations.ts'
import {
  attach,
  type CallSite,
  countCalls,
  follow,
  killAt,
  siteName,
  sitesOf,
  straceObstacle,
} from './strace.ts'

const OPERATION = fileURLToPath(new URL('operations.ts', import.meta.url))
const TAKEOVER = 'takeover'
/** Those of a takeover's thousands of calls that change holders, or write. */
const TAKEOVER_CALLS = [
  ...[
    'pidfd_open',
    'pidfd_getfd',
    'pidfd_send_signal',
    'kill',
    'sendmsg',
    'recvmsg',
    'flock',
    'memfd_create',
  ],
  ...[
    'ftruncate',
    'fallocate',
    'pwrite64',
    'ioctl',
    'rename',
    'unlink',
    'mount',
    'umount2',
    'socketpair',
    'execve',
  ],
]
const ANSWER_MS = 60_000
/** Until the pool is served again after a takeover in which a process was killed. */
const MEND_MS = 60_000
/** The server is idle by then, so that each attempt finds it at the same call. */
const REST_MS = 60

interface Pair {
  readonly operation: string
  readonly site: CallSite
}
const keyOf = ({ operation, site }: Pair): string => `${operation} ${siteName(site)}`

class Bench {
  readonly #host: PoolHost
  readonly #pool: string
  readonly #guest: Guest
  readonly #traceFile: string
  #folders = 0

  constructor(host: PoolHost, pool: string, guest: Guest, folder: string) {
    this.#traceFile = join(folder, 'trace')
    this.#host = host
    this.#pool = pool
    this.#guest = guest
  }

  #folder(): string {
    return join(this.#host.mountPoint, `f${++this.#folders}`)
  }

  /**
   * Does `operation` while strace with `words` is attached to the server; returns its result and the output
   * of strace.
   */
  async #carryOut(operation: string, words: readonly string[]): Promise<{ told: string[]; traced: string }> {
    const folder = this.#folder()
    prepare(operation, folder)
    await sleep(REST_MS)
    const strace = await attach(this.#host.serverPid(), words)
    const { status, signal, stderr } = spawnSync(process.execPath, [OPERATION, operation, folder], {
      encoding: 'utf8',
      timeout: ANSWER_MS,
    })
    const traced = await strace.end()
    assert.equal(status, 0, `${operation}: ${signal ?? `status ${status}`} ${stderr}`)
    const told = tell(folder)
    rmSync(folder, { recursive: true })
    return { told, traced }
  }

  /** The calls of the server's thread for one operation without a kill. */
  async sitesOf(operation: string): Promise<CallSite[]> {
    return sitesOf(countCalls((await this.#carryOut(operation, [])).traced))
  }

  /** Returns whether the server was killed: another run may make other calls. */
  async killIn({ operation, site }: Pair): Promise<boolean> {
    const server = this.#host.serverPid()
    const killed = await this.#carryOut(operation, killAt(site))
    const isKilled = processStartTime(server) === undefined
    if (isKilled) await until('another server serves', () => ![0, server].includes(this.#host.serverPid()))
    const complete = await this.#carryOut(operation, ['-e', 'trace=none'])
    assert.deepEqual(killed.told, complete.told, `${operation} leaves something else`)
    this.#check()
    return isKilled
  }

  /** `mount` takes over from a keeper that has died, under strace; returns the output of strace. */
  async #takeOver(words: readonly string[]): Promise<string> {
    const keeper = this.#host.keeperPid()
    this.#host.kill(keeper)
    await until('the keeper has ended', () => processStartTime(keeper) === undefined)
    const traced = ['-e', `trace=${TAKEOVER_CALLS.join(',')}`]
    return await follow([...traced, ...words], this.#mountLine(), this.#traceFile)
  }

  #mountLine(): string[] {
    return [process.execPath, CLI, 'mount', this.#pool, this.#host.mountPoint]
  }

  async takeoverSites(): Promise<CallSite[]> {
    const traced = await this.#takeOver([])
    await this.#mend()
    return sitesOf(countCalls(traced))
  }

  async killInTakeover(site: CallSite): Promise<boolean> {
    const folder = this.#folder()
    prepare('create', folder)
    const before = tell(folder)
    const traced = await this.#takeOver(killAt(site))
    await this.#mend()
    assert.deepEqual(tell(folder), before, 'a takeover leaves another tree')
    rmSync(folder, { recursive: true })
    this.#check()
    return /killed by SIGKILL/.test(traced)
  }

  /**
   * Mounts the pool, mounted already or not, in whatever state it is. Killed processes may not have ended
   * yet, which the first `mount` reports; a later one succeeds.
   */
  async #mend(): Promise<void> {
    const [node = '', ...words] = this.#mountLine()
    const deadline = performance.now() + MEND_MS
    for (;;) {
      const { status, signal, stderr } = spawnSync(node, words, { encoding: 'utf8', timeout: ANSWER_MS })
      if (status === 0 || /is mounted on .* already/.test(stderr)) break
      if (performance.now() > deadline) throw new Error(`the pool does not come back: ${signal ?? stderr}`)
      await sleep(REST_MS)
    }
    await this.#host.settled()
  }

  #check(): void {
    assertSound(this.#host, this.#pool)
    this.#guest.check()
  }
}

async function allPairs(bench: Bench, stage: Stage): Promise<Pair[]> {
  const pairs: Pair[] = []
  for (const operation of Object.keys(OPERATIONS))
    for (const site of await bench.sitesOf(operation)) pairs.push({ operation, site })
  for (const site of await bench.takeoverSites()) pairs.push({ operation: TAKEOVER, site })
  stage.say(`${pairs.length} pairs of an operation and a system call`)
  return pairs
}

/** So that a run of one minute tests other pairs each time. */
function shuffled(pairs: readonly Pair[], seed: number): Pair[] {
  const random = randomFrom(seed)
  const left = [...pairs]
  return pairs.map(() => left.splice(random.below(left.length), 1)[0] as Pair)
}

async function run(stage: Stage): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-syscalls-'))
  const pool = `syscalls-${process.pid}`
  const host = mountPlainly(pool, '512M')
  const guest = Guest.start(host, folder, 1)
  try {
    await until('the guest ticks', () => guest.ticks > 1, ANSWER_MS)
    const bench = new Bench(host, pool, guest, folder)
    const pairs = await allPairs(bench, stage)
    const done = new Set(stage.done.flatMap(({ key, failure }) => (failure === undefined ? (key ?? []) : [])))
    const seed = stage.seed()
    const left = shuffled(
      pairs.filter((pair) => !done.has(keyOf(pair))),
      seed,
    )
    if (left.length === 0) stage.say('every pair is done')
    for (const pair of left) {
      if (stage.secondsLeft() <= 0) return
      const work = async (figures: Record<string, number>): Promise<void> => {
        const isTakeover = pair.operation === TAKEOVER
        const isKilled = await (isTakeover ? bench.killInTakeover(pair.site) : bench.killIn(pair))
        figures[isTakeover ? 'takeoverPairs' : 'operationPairs'] = 1
        figures[isKilled ? 'kills' : 'notReached'] = 1
        figures.pairsMost = pairs.length
      }
      // After a failure the pool may not be fit for the next pair.
      if (!(await round(stage, seed, work, keyOf(pair)))) return
    }
  } finally {
    await guest.end()
    await host.end()
    rmSync(folder, { recursive: true, force: true })
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
    const finding = mountObstacle()
    if (finding !== undefined) return `${finding.subject}: ${finding.message} (${finding.advice})`
    if (installedQemu() === undefined) return 'QEMU is missing: npm run setup installs it'
    return await straceObstacle()
  },
  known,
  run,
}
