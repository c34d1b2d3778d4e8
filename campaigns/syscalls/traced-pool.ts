/**
 * One mounted pool with a guest: this does an operation, or a takeover, under strace(1), kills a process at
 * one of its system calls, and asserts that callers and the guest see no effect. Must not: choose what is
 * killed.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { processStartTime } from '../../src/linux/process.ts'
import { until } from '../../test/mount/support.ts'
import type { Guest } from '../kill/guests.ts'
import { assertSound, type PoolHost } from '../kill/pool-host.ts'
import { describe, prepare } from './operations.ts'
import { attach, type CallSite, countCalls, follow, killAt, sitesOf, workerThread } from './strace.ts'

const OPERATION = fileURLToPath(new URL('operations.ts', import.meta.url))
/** Of a takeover's thousands of calls, those that change which process holds what, or that write. */
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
export const ANSWER_MS = 180_000
/** Until the pool is served again after a takeover in which a process was killed. */
const MOUNT_MS = 180_000
/** The server is idle by then, so that each attempt finds it at the same call. */
const IDLE_MS = 60

export class TracedPool {
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
  async #carryOut(
    operation: string,
    words: readonly string[],
    thread = this.#host.serverPid(),
  ): Promise<{ described: string[]; traced: string }> {
    const folder = this.#folder()
    prepare(operation, folder)
    await sleep(IDLE_MS)
    const strace = await attach(thread, words)
    const { status, signal, stderr } = spawnSync(process.execPath, [OPERATION, operation, folder], {
      encoding: 'utf8',
      timeout: ANSWER_MS,
    })
    const traced = await strace.end()
    assert.equal(status, 0, `${operation}: ${signal ?? `status ${status}`} ${stderr}`)
    const described = describe(folder)
    rmSync(folder, { recursive: true })
    return { described, traced }
  }

  #worker(): number | undefined {
    return workerThread(this.#host.serverPid())
  }

  /** The calls of the server's threads for one operation without a kill. */
  async sitesOf(operation: string): Promise<CallSite[]> {
    const ofServer = sitesOf(countCalls((await this.#carryOut(operation, [])).traced))
    const worker = this.#worker()
    if (worker === undefined) return ofServer
    const { traced } = await this.#carryOut(operation, [], worker)
    return [...ofServer, ...sitesOf(countCalls(traced)).map((site) => ({ ...site, byWorker: true }))]
  }

  /** Returns whether the server was killed: another run may make other calls. */
  async killIn(operation: string, site: CallSite): Promise<boolean> {
    const server = this.#host.serverPid()
    const killed = await this.#carryOut(operation, killAt(site), site.byWorker ? this.#worker() : server)
    const isKilled = processStartTime(server) === undefined
    if (isKilled) await until('another server serves', () => ![0, server].includes(this.#host.serverPid()))
    const complete = await this.#carryOut(operation, ['-e', 'trace=none'])
    assert.deepEqual(killed.described, complete.described, `${operation} leaves something else`)
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
    return [process.execPath, this.#host.cli, 'mount', this.#pool, this.#host.mountPoint]
  }

  async takeoverSites(): Promise<CallSite[]> {
    const traced = await this.#takeOver([])
    await this.#mountAgain()
    return sitesOf(countCalls(traced))
  }

  async killInTakeover(site: CallSite): Promise<boolean> {
    const folder = this.#folder()
    prepare('create', folder)
    const before = describe(folder)
    const traced = await this.#takeOver(killAt(site))
    await this.#mountAgain()
    assert.deepEqual(describe(folder), before, 'a takeover leaves another tree')
    rmSync(folder, { recursive: true })
    this.#check()
    return /killed by SIGKILL/.test(traced)
  }

  /**
   * Mounts the pool, mounted already or not, in whatever state it is. Killed processes may not have ended
   * yet, which the first `mount` reports; a later one succeeds.
   */
  async #mountAgain(): Promise<void> {
    const [node = '', ...words] = this.#mountLine()
    const deadline = performance.now() + MOUNT_MS
    for (;;) {
      const { status, signal, stderr } = spawnSync(node, words, { encoding: 'utf8', timeout: ANSWER_MS })
      if (status === 0 || /is mounted on .* already/.test(stderr)) break
      if (performance.now() > deadline) throw new Error(`the pool does not come back: ${signal ?? stderr}`)
      await sleep(IDLE_MS)
    }
    await this.#host.settled()
  }

  #check(): void {
    assertSound(this.#host, this.#pool)
    this.#guest.check()
  }
}
