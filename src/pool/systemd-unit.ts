/**
 * The unit `guestmemfs@POOL.service`. Where systemd runs and the unit is installed, the keeper must be the
 * unit's process and not a child of the process that called mount: it would be killed with the caller's
 * cgroup, and the guests' memory lost. The request and the answer are files beside the pool's record. Must
 * not: mount anything itself; the unit calls `guestmemfs keep POOL`, which does.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { errnoOfNodeError } from '../linux/library.ts'
import { removeFile, replaceFileWhenFull } from '../run/atomic-file.ts'
import { checkPoolName } from '../run/check-names.ts'
import { ensureFolder, POOLS, whyUnwritable } from '../run/paths.ts'
import { UsageError } from '../values/errors.ts'
import type { Mounted, MountRequest } from './mount-pool.ts'
import { type MountAnswer, parseMountRequest, readAnswer } from './unit-messages.ts'

const path = (pool: string, kind: 'request' | 'answer' | 'pid'): string => `${POOLS}/${pool}.${kind}`
export const unit = (pool: string): string => `guestmemfs@${pool}.service`
/** Lets saved guests go on before the pool is mounted (src/early/early-unit.ts). */
export const earlyUnit = (pool: string): string => `guestmemfs-early@${pool}.service`

const write = (file: string, text: string): void => replaceFileWhenFull(file, text, 0o600)

function systemctl(...words: string[]): number {
  const { status, error } = spawnSync('systemctl', words, { stdio: 'ignore' })
  if (error) throw new UsageError(`systemctl does not start: ${error.message}`)
  return status ?? 1
}

/**
 * Mounts through the unit. The unit of a parked pool is running already: reloading it mounts again.
 * Errors: `UsageError` with the reason that the unit's process gave, or where to look when it gave none.
 */
export function mountThroughUnit({ pool, mountPoint, options }: MountRequest): Mounted {
  checkPoolName(pool)
  if (process.getuid?.() !== 0) throw new UsageError('mounting needs root: run it with sudo')
  ensureFolder(POOLS)
  removeFile(path(pool, 'answer'))
  // The unit's process has another working directory.
  try {
    write(path(pool, 'request'), JSON.stringify({ pool, mountPoint: resolve(mountPoint), options }))
  } catch (error) {
    throw new UsageError(whyUnwritable(path(pool, 'request'), errnoOfNodeError(error)))
  }
  const isActive = systemctl('is-active', '--quiet', unit(pool)) === 0
  if (!isActive) systemctl('reset-failed', unit(pool))
  systemctl(isActive ? 'reload' : 'start', unit(pool))
  const answer = takeAnswer(pool)
  removeFile(path(pool, 'request'))
  if (answer?.ok) return answer.mounted
  throw new UsageError(
    answer?.reason ?? `${unit(pool)} did not mount the pool: see 'journalctl -u ${unit(pool)}'`,
  )
}

function takeAnswer(pool: string): MountAnswer | undefined {
  const file = path(pool, 'answer')
  if (!existsSync(file)) return undefined
  const answer = readAnswer(readFileSync(file, 'utf8'))
  removeFile(file)
  return answer
}

/** The service manager runs it. */
export const isUnitActive = (pool: string): boolean =>
  existsSync('/run/systemd/system') && systemctl('is-active', '--quiet', unit(pool)) === 0

/**
 * As the upgrade of a package does it: where Debian's policy-rc.d forbids it, the unit stays as it is. False:
 * the unit is not up again, or may not be yet.
 */
export function restartUnit(pool: string): boolean {
  const words = ['restart', unit(pool)]
  const { status, error } = spawnSync('deb-systemd-invoke', words, { stdio: ['ignore', 'ignore', 'inherit'] })
  return error === undefined ? status === 0 : systemctl(...words) === 0
}

/** How many descriptors of the pool the service manager has in its store. */
export function storedCount(pool: string): number {
  const words = ['show', '--property=NFileDescriptorStore', '--value', unit(pool)]
  const { stdout } = spawnSync('systemctl', words, { encoding: 'utf8' })
  return Number(stdout) || 0
}

/** How often it tries, while systemd stops the unit whose keeper was killed. */
const CLEAN_TRIES = 50
const CLEAN_PAUSE_MS = 100

/**
 * Removes what the store still has of a pool that was discarded: memory that no process could use. Before
 * systemd 254 no command empties a store: the manager empties it when the unit has ended, but a test has seen
 * that it waits for a further job. So the unit is stopped, which also ends one that waits after a refusal;
 * not one that is active, because a later `mount` has started it. Errors: `UsageError` when it is not
 * removed.
 */
export async function cleanStored(pool: string): Promise<void> {
  for (let tries = 0; storedCount(pool) > 0; tries++) {
    if (!isUnitActive(pool)) {
      systemctl('stop', unit(pool))
      // A process that a stop ends before the unit is up counts as a failure.
      systemctl('reset-failed', unit(pool))
    }
    if (systemctl('clean', '--what=fdstore', unit(pool)) === 0) return
    if (tries === CLEAN_TRIES)
      throw new UsageError(
        `the service manager still holds memory of '${pool}': systemctl clean --what=fdstore ${unit(pool)}`,
      )
    await sleep(CLEAN_PAUSE_MS)
  }
}

/**
 * For the unit's process: ends the unit, which is not started again. With `Restart=always` no exit status of
 * ExecStart= ends a unit: RestartPreventExitStatus= is for the main process, which this one is not
 * (Type=forking). What the manager has in its store stays there, where FileDescriptorStorePreserve= is known
 * (systemd 254).
 */
export function endUnit(pool: string): void {
  if (process.env.GUESTMEMFS_UNIT === pool) systemctl('stop', '--no-block', unit(pool))
}

/** For the unit's process: whether there is a request. */
export const hasRequest = (pool: string): boolean => existsSync(path(checkPoolName(pool), 'request'))

/**
 * For the unit's process: takes the request to mount, once. A file that is no request is ignored: the process
 * that wrote it gets no answer, and a pool that waits to be taken over must not wait for an operator who
 * repairs a file.
 */
export function takeRequest(pool: string): MountRequest | undefined {
  const file = path(checkPoolName(pool), 'request')
  if (!existsSync(file)) return undefined
  const request = parseMountRequest(readFileSync(file, 'utf8'))
  removeFile(file)
  if (request === undefined) process.stderr.write(`guestmemfs: ${file} was no request to mount: ignored\n`)
  return request
}

/** For the unit's process: answers the request. */
export const writeAnswer = (pool: string, answer: MountAnswer): void =>
  write(path(pool, 'answer'), JSON.stringify(answer))

/** For the service manager, which reads from it which process the pool's keeper is now. */
export const writePidFile = (pool: string, pid: number): void => write(path(pool, 'pid'), `${pid}\n`)

/**
 * Makes the service manager read the units that were installed below `prefix`: only where systemd runs, and
 * reads units from there.
 */
export function reloadUnits(prefix: string): void {
  if (prefix === '/' && existsSync('/run/systemd/system')) spawnSync('systemctl', ['daemon-reload'])
}
