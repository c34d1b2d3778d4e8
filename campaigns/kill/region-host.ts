/**
 * A pool in a region, mounted by hand: its memory needs no process, so both may die at any moment. Where the
 * keeper has died, `mount` is run again, and again where it is killed on its way.
 */
import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { processStartTime } from '../../src/linux/process.ts'
import { readPoolRecord } from '../../src/run/pool-record.ts'
import { makeOtherTree, type OtherTree } from '../../test/mount/other-tree.ts'
import { REGION_IN_TMPFS } from '../../test/mount/region-pool.ts'
import { CLI, until } from '../../test/mount/support.ts'
import { COMMAND_MS, mountWith } from './plain-host.ts'
import type { PoolHost } from './pool-host.ts'

const run = promisify(execFile)
const LOOK_MS = 50
const BACK_MS = 300_000

/** A region of this machine, as `mount -o` and `format` name it. */
export interface RegionPlace {
  readonly store: string
  /** null: the only one there is. */
  readonly region: string | null
  /** The program; default: this tree's. */
  readonly cli?: string
}

/**
 * A new pool in the region, whatever it held, whose keeper no unit restarts. `beneath`: names that are
 * directories of the pool, and regular files of the directory beneath the mount point, so that no process
 * takes one for the other.
 */
export function mountRegionPlainly(
  pool: string,
  { store, region, cli = CLI }: RegionPlace,
  beneath: readonly string[] = [],
): PoolHost {
  const mountPoint = mkdtempSync(join(tmpdir(), 'guestmemfs-kill-'))
  for (const name of beneath) writeFileSync(join(mountPoint, name), '')
  const inRegion = region === null ? [] : ['--region', region]
  execFileSync(process.execPath, [cli, 'format', pool, '--store', store, ...inRegion, '--force'], {
    timeout: COMMAND_MS,
  })
  const options = [`store=${store}`, ...(region === null ? [] : [`region=${region}`])].join()
  return { ...mountWith(pool, options, mountPoint, cli), memory: 'region' }
}

/** As `mountRegionPlainly`, and this process mounts the pool again where its keeper has died. */
export function mountInRegion(pool: string, place: RegionPlace, beneath: readonly string[]): PoolHost {
  const host = mountRegionPlainly(pool, place, beneath)
  const line = [place.cli ?? CLI, 'mount', pool, host.mountPoint]
  const keeping = new Restorer(pool, () => run(process.execPath, line, { timeout: COMMAND_MS }))
  return {
    ...host,
    canLoseBoth: true,
    takenOver: (former) => keeping.until(() => ![0, former].includes(host.keeperPid())),
    settled: async () => {
      await keeping.until(() => [host.keeperPid(), host.serverPid()].every(isAlive))
      await host.settled()
    },
    end: async () => {
      await keeping.stop()
      await host.end()
    },
  }
}

const isAlive = (pid: number): boolean => pid !== 0 && processStartTime(pid) !== undefined

/** Does what a service manager would: starts a keeper where the pool has none. */
class Restorer {
  readonly #pool: string
  readonly #mount: () => Promise<unknown>
  readonly #ended: Promise<void>
  #isOver = false
  #refusal = ''

  constructor(pool: string, mount: () => Promise<unknown>) {
    this.#pool = pool
    this.#mount = mount
    this.#ended = this.#keep()
  }

  async #keep(): Promise<void> {
    for (; !this.#isOver; await sleep(LOOK_MS)) {
      if (isAlive(readPoolRecord(this.#pool)?.keeper.pid ?? 0)) continue
      try {
        await this.#mount()
        this.#refusal = ''
      } catch (error) {
        // Its keeper, or the server, was killed meanwhile.
        this.#refusal = String((error as { stderr?: string }).stderr ?? error)
      }
    }
  }

  async until(holds: () => boolean): Promise<void> {
    try {
      await until('keeper and server live', holds, BACK_MS)
    } catch (cause) {
      throw new Error(`no keeper, or no server, comes back: ${this.#refusal}`, { cause })
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#ended
  }
}

/** A region on every machine: a folder of tmpfs, with a program that takes it for one. */
export class StandIn {
  readonly #tree: OtherTree
  readonly #folder: string

  constructor(folder = mkdtempSync('/dev/shm/guestmemfs-region-')) {
    this.#tree = makeOtherTree(...REGION_IN_TMPFS)
    this.#folder = folder
  }

  get place(): RegionPlace {
    mkdirSync(this.#folder, { recursive: true })
    return { store: 'devmem', region: this.#folder, cli: join(this.#tree.folder, 'src/cli.ts') }
  }

  /** After the last pool in it has ended. */
  remove(): void {
    for (const folder of [this.#folder, this.#tree.folder]) rmSync(folder, { recursive: true, force: true })
  }
}
