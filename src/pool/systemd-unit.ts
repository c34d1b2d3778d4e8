/**
 * The unit `guestmemfs@POOL.service`. Where systemd runs and the unit is installed, the keeper must be the
 * unit's process and not a child of the process that called mount: it would die with the caller's cgroup, and
 * the guests' memory with it. The request and the answer are files beside the pool's record. Must not: mount
 * anything itself; the unit calls `guestmemfs keep POOL`, which does.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import { replaceFile } from '../run/atomic-file.ts'
import { checkPoolName } from '../run/names.ts'
import { ensureFolder, POOLS } from '../run/paths.ts'
import { UsageError } from '../values/errors.ts'
import { HOW, type Mounted, type MountRequest } from './mount-pool.ts'

const Request = v.object({ pool: v.string(), mountPoint: v.string(), options: v.array(v.string()) })
const Answer = v.variant('ok', [
  v.object({
    ok: v.literal(true),
    mounted: v.object({
      pool: v.string(),
      mountPoint: v.string(),
      sizeBytes: v.number(),
      how: v.picklist(HOW),
    }),
  }),
  v.object({ ok: v.literal(false), reason: v.string() }),
])
type Answer = v.InferOutput<typeof Answer>

const path = (pool: string, kind: 'request' | 'answer' | 'pid'): string => `${POOLS}/${pool}.${kind}`
export const unit = (pool: string): string => `guestmemfs@${pool}.service`

const write = (file: string, text: string): void => replaceFile(file, text, 0o600)

function systemctl(...words: string[]): number {
  const { status, error } = spawnSync('systemctl', words, { stdio: 'ignore' })
  if (error) throw new UsageError(`systemctl does not start: ${error.message}`)
  return status ?? 1
}

/**
 * Mounts by way of the unit. A pool that is parked has its unit running already: reloading it mounts again.
 * Errors: `UsageError` with the reason that the unit's process gave, or where to look when it gave none.
 */
export function mountThroughUnit({ pool, mountPoint, options }: MountRequest): Mounted {
  checkPoolName(pool)
  if (process.getuid?.() !== 0) throw new UsageError('mounting needs root: run it with sudo')
  ensureFolder(POOLS)
  rmSync(path(pool, 'answer'), { force: true })
  // The unit's process has another working directory.
  write(path(pool, 'request'), JSON.stringify({ pool, mountPoint: resolve(mountPoint), options }))
  const isActive = systemctl('is-active', '--quiet', unit(pool)) === 0
  if (!isActive) systemctl('reset-failed', unit(pool))
  systemctl(isActive ? 'reload' : 'start', unit(pool))
  const answer = takeAnswer(pool)
  rmSync(path(pool, 'request'), { force: true })
  if (answer?.ok) return answer.mounted
  throw new UsageError(
    answer?.reason ?? `${unit(pool)} did not mount the pool: see 'journalctl -u ${unit(pool)}'`,
  )
}

function takeAnswer(pool: string): Answer | undefined {
  const file = path(pool, 'answer')
  if (!existsSync(file)) return undefined
  const answer = v.parse(Answer, JSON.parse(readFileSync(file, 'utf8')))
  rmSync(file)
  return answer
}

/** The service manager runs it. */
export const isUnitActive = (pool: string): boolean =>
  existsSync('/run/systemd/system') && systemctl('is-active', '--quiet', unit(pool)) === 0

/** How many descriptors of the pool the service manager has in its store. */
export function storedCount(pool: string): number {
  const words = ['show', '--property=NFileDescriptorStore', '--value', unit(pool)]
  const { stdout } = spawnSync('systemctl', words, { encoding: 'utf8' })
  return Number(stdout) || 0
}

/** Tries so often, while the unit whose keeper was ended comes to rest. */
const FORGET_TRIES = 50
const FORGET_PAUSE_MS = 100

/**
 * What the store still has of a pool that was given up is memory that nobody can reach. Before systemd 254 it
 * lets go by itself. Errors: `UsageError` when it does not.
 */
export async function forgetStored(pool: string): Promise<void> {
  for (let tries = 0; storedCount(pool) > 0; tries++) {
    if (systemctl('clean', '--what=fdstore', unit(pool)) === 0) return
    if (tries === FORGET_TRIES)
      throw new UsageError(
        `the service manager still holds memory of '${pool}': systemctl clean --what=fdstore ${unit(pool)}`,
      )
    await sleep(FORGET_PAUSE_MS)
  }
}

/** For the unit's process: whether it was asked for anything. */
export const hasRequest = (pool: string): boolean => existsSync(path(checkPoolName(pool), 'request'))

/** For the unit's process: what it was asked to mount, once. */
export function takeRequest(pool: string): MountRequest | undefined {
  const file = path(checkPoolName(pool), 'request')
  if (!existsSync(file)) return undefined
  const request = v.parse(Request, JSON.parse(readFileSync(file, 'utf8')))
  rmSync(file)
  return request
}

/** For the unit's process: how it went. */
export const giveAnswer = (pool: string, answer: Answer): void =>
  write(path(pool, 'answer'), JSON.stringify(answer))

/** For the service manager, which reads from it which process the pool's keeper is now. */
export const writePidFile = (pool: string, pid: number): void => write(path(pool, 'pid'), `${pid}\n`)

/**
 * Lets the service manager read what was installed below `prefix`: only where systemd runs, and only what
 * lies where it looks.
 */
export function reloadUnits(prefix: string): void {
  if (prefix === '/' && existsSync('/run/systemd/system')) spawnSync('systemctl', ['daemon-reload'])
}
