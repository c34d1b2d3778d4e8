/**
 * The campaign `soak`: all uses of a pool, repeated: files are made, grow, shrink and are deleted, the pool
 * is frozen and thawed, a new keeper takes over, its guest gets a new QEMU. Keeper and server must not take
 * more memory or descriptors at the end than in the middle, and the pool must lose no block.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomFrom } from '../../src/fs/image/testing/random.ts'
import { mountProblem } from '../../src/host/checks.ts'
import { installedQemu } from '../../src/host/qemu-package.ts'
import { removexattr, setxattr } from '../../src/linux/xattr.ts'
import { readRuntime, vmPaths } from '../../src/run/vm-runtime.ts'
import { CLI, freeBlocks, until } from '../../test/mount/support.ts'
import { kill as endProcess, QEMU, ramOptions, SMALL_MACHINE, tinyKernel } from '../../test/vm/support.ts'
import { findBreak, firstBadWord, readTicks } from '../../testbed/guests/ticks.ts'
import { type Campaign, count, round, type Stage } from '../campaign.ts'
import { mountPlainly } from '../kill/plain-host.ts'
import type { PoolHost } from '../kill/pool-host.ts'
import { growthOf, type Sample, sampleOf } from './memory.ts'

const SIZE = '512M'
const GUEST_MIB = 64
const BLOCK_BYTES = 2 ** 21
/** Files of one repetition. */
const FILES = 40
const SAMPLE_MS = 1000
const ROUND_SECONDS = 600
/** Repetitions between two updates, and between two takeovers: each starts a new process. */
const UPDATE_EVERY = 10
const PATIENCE_MS = 60_000
/** A process that ran less is not judged. */
const LEAST_LIFE_SECONDS = 20

/** The samples of one process; a takeover starts another server. */
class Watch {
  readonly #startMs = performance.now()
  readonly #host: PoolHost
  readonly #samples = new Map<string, Sample[]>()
  readonly #timer: NodeJS.Timeout

  constructor(host: PoolHost) {
    this.#host = host
    this.#timer = setInterval(() => this.#look(), SAMPLE_MS)
  }

  #look(): void {
    const atSeconds = (performance.now() - this.#startMs) / 1000
    for (const [role, pid] of [
      ['keeper', this.#host.keeperPid()],
      ['server', this.#host.serverPid()],
    ] as const) {
      const sample = sampleOf(pid, atSeconds)
      const key = `${role} ${pid}`
      if (sample !== undefined) this.#samples.set(key, [...(this.#samples.get(key) ?? []), sample])
    }
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Throws where one grew. */
  judge(figures: Record<string, number>): void {
    for (const [key, samples] of this.#samples) {
      const [role] = key.split(' ')
      const last = samples.at(-1) as Sample
      const life = last.atSeconds - (samples[0] as Sample).atSeconds
      const note = (name: string, value: number): void => {
        const figure = `${role}${name}Most`
        figures[figure] = Math.max(value, figures[figure] ?? 0)
      }
      note('ResidentKib', last.residentKib)
      note('Descriptors', last.descriptors)
      if (life < LEAST_LIFE_SECONDS) continue
      const { residentKib, descriptors, wrong } = growthOf(samples)
      note('GrowthKib', residentKib)
      note('MoreDescriptors', descriptors)
      note('JudgedSeconds', Math.round(life))
      assert.equal(wrong, undefined, `the ${role} ${wrong}`)
    }
  }
}

/** A guest of `guestmemfs run`, so that its QEMU can be replaced. */
class UpdatableGuest {
  readonly #name: string
  readonly #serial: string
  readonly #ended: Promise<unknown>
  readonly #child

  constructor(host: PoolHost, folder: string) {
    this.#name = `soak-${process.pid}`
    this.#serial = join(folder, 'serial')
    const ram = ramOptions(join(host.mountPoint, 'guest-ram'), `${GUEST_MIB}M`)
    const line = [QEMU, ...SMALL_MACHINE, ...ram, '-kernel', tinyKernel(folder), '-serial', 'stdio']
    const output = openSync(this.#serial, 'a')
    const words = ['run', '--name', this.#name, '--pool', host.mountPoint, '--', ...line]
    this.#child = spawn(process.execPath, [CLI, ...words], { stdio: ['ignore', output, 'inherit'] })
    closeSync(output)
    this.#ended = once(this.#child, 'exit')
  }

  #text(): string {
    return readFileSync(this.#serial, 'latin1')
  }

  get ticks(): number {
    return readTicks(this.#text()).length
  }

  check(): void {
    const text = this.#text()
    const wrong = findBreak(readTicks(text))
    if (wrong !== undefined) throw new Error(`the guest: ${wrong}${firstBadWord(text)}`)
  }

  async end(): Promise<void> {
    const runtime = readRuntime(this.#name)
    if (runtime?.qemu) endProcess(runtime.qemu.pid)
    this.#child.kill('SIGKILL')
    await this.#ended
    rmSync(vmPaths(this.#name).directory, { recursive: true, force: true })
  }
}

/** Makes, grows, shrinks and deletes files. */
function turn(host: PoolHost, seed: number): void {
  const random = randomFrom(seed)
  const folder = join(host.mountPoint, 'turn')
  const path = (index: number): string => join(folder, `file-${index}`)
  mkdirSync(folder)
  for (let index = 0; index < FILES; index++) writeFileSync(path(index), 'text'.repeat(random.below(500)))
  for (let index = 0; index < FILES; index++) {
    const isRam = index % 4 === 0
    if (isRam) {
      truncateSync(path(index), 0)
      truncateSync(path(index), BLOCK_BYTES * (1 + random.below(3)))
      truncateSync(path(index), BLOCK_BYTES)
    } else truncateSync(path(index), random.below(4096))
    setxattr(path(index), 'user.soak', Buffer.from(String(index)))
    removexattr(path(index), 'user.soak')
  }
  for (let index = 0; index < FILES; index++) unlinkSync(path(index))
  rmSync(folder, { recursive: true })
}

async function oneRound(
  stage: Stage,
  host: PoolHost,
  folder: string,
  seed: number,
  figures: Record<string, number>,
): Promise<void> {
  const guest = new UpdatableGuest(host, folder)
  const watch = new Watch(host)
  const seconds = Math.min(ROUND_SECONDS, stage.secondsLeft() - 5)
  const startMs = performance.now()
  const elapsed = (): number => (performance.now() - startMs) / 1000
  const random = randomFrom(seed)
  try {
    await until('the guest ticks', () => guest.ticks > 1, PATIENCE_MS)
    const free = freeBlocks(host.mountPoint)
    // Most of the round is after the takeover.
    let isTakenOver = false
    for (let turns = 1; elapsed() < seconds && stage.secondsLeft() > 0; turns++) {
      turn(host, random.below(2 ** 31))
      count(figures, 'turns')
      host.guestmemfs('freeze', host.mountPoint)
      host.guestmemfs('thaw', host.mountPoint)
      if (turns % UPDATE_EVERY === 0) {
        host.guestmemfs('live-update', '--vmm-only', host.mountPoint)
        count(figures, 'updates')
      }
      if (!isTakenOver && elapsed() > seconds / 4) {
        const keeper = host.keeperPid()
        host.kill(keeper)
        await host.takenOver(keeper)
        isTakenOver = true
        count(figures, 'takeovers')
      }
      guest.check()
      // A timer of this thread takes the samples.
      await sleep(20)
    }
    await until('every block is back', () => freeBlocks(host.mountPoint) === free, PATIENCE_MS)
    guest.check()
    figures.ticks = guest.ticks
    watch.judge(figures)
  } finally {
    watch.stop()
    await guest.end()
  }
}

export const soak: Campaign = {
  about:
    'files, freezes, takeovers and updates again and again, with memory and descriptors of both processes flat',
  obstacle: async () => {
    const finding = mountProblem()
    if (finding !== undefined) return `${finding.subject}: ${finding.message} (${finding.advice})`
    return installedQemu() === undefined ? 'QEMU is missing: npm run setup installs it' : undefined
  },
  async run(stage) {
    while (stage.secondsLeft() > LEAST_LIFE_SECONDS) {
      const seed = stage.seed()
      const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-soak-'))
      const passed = await round(stage, seed, async (figures) => {
        const host = mountPlainly(`soak-${process.pid}`, SIZE)
        try {
          await oneRound(stage, host, folder, seed, figures)
        } finally {
          await host.end()
        }
      })
      rmSync(folder, { recursive: true, force: true })
      if (!passed) return
    }
  },
}
