/**
 * The early start where the service manager mounts the pool: the unit `guestmemfs-early@POOL.service` runs it
 * before the mount of fstab. Its guests go on as in `start-early.ts`; those that need more are left to the
 * mount and to guestmemfs-resume.service.
 *
 * Why no state is loaded over newer memory, and no mark written into another file's block, though other
 * processes mount and resume: this one holds the region's locks (run/region-lock.ts) from before it reads the
 * image until it ends. A server of any version needs one of them at least, so none has the region as long as
 * this process can write a mark: the blocks that the image names are the state file's own until then. The
 * kernel releases the locks when this process ends, whatever ends it: its own limit, that of the unit, a
 * kill. No other process has a copy, because descriptors of Node are close-on-exec. A mount that comes
 * meanwhile is refused, and the order of the units (`Before=`, `After=`) only spares it that. So a unit that
 * is masked, edited or started by hand changes when guests go on, and nothing else. A second start finds the
 * locks taken, or the pool on record as mounted, or the marks, and starts no guest.
 *
 * What this process leaves of a guest is a row of the table in `start-early.ts`, since it does nothing else;
 * the next process that acts on the guest is `resume`, which finds it by that row once the pool is mounted.
 * The record of times (liveupdate/guest/early-record.ts) decides nothing. Must not: run longer than its
 * limit.
 */
import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type FstabLine, isMountedLate, isPoolLine, readFstab } from '../linux/fstab.ts'
import { mountTable } from '../linux/mounts.ts'
import { ownStartMs } from '../linux/process.ts'
import { writeEarlyRecord } from '../liveupdate/guest/early-record.ts'
import { isInside } from '../qemu/memory-backends.ts'
import { checkPoolName } from '../run/check-names.ts'
import { hasRecordInRun } from '../run/pool-record.ts'
import { findRegion } from '../stores/registry.ts'
import { errorText, SystemCallError } from '../values/errors.ts'
import { within } from '../values/within.ts'
import { continueEarly, reachGuest } from './early-guest.ts'
import { EarlyOutcome } from './early-outcome.ts'
import { type EarlyPlace, type EarlyPool, earlyPlace, openEarlyPool } from './early-pool.ts'
import { hostLacks, type Lacks } from './lacks.ts'
import type { SavedGuest } from './saved-guests.ts'
import { MOST_BEFORE_MOUNT_MS, startEach } from './start-early.ts'
import { startWhenReady } from './start-when-ready.ts'

/** Tests have others. */
export interface EarlyHost {
  readonly fstab: string
  /**
   * How long it waits for what drivers, udev and other units bring: after a longer wait the other guests
   * would go on sooner by the mount.
   */
  readonly waitMs: number
}

const HOST: EarlyHost = { fstab: '/etc/fstab', waitMs: 5000 }
const LOOK_MS = 50

/**
 * `say`: one line for the journal. When this resolves, the process must end: a guest that has not gone on by
 * then is left as it is. Never rejects: the mount follows, whatever went wrong here.
 */
export async function startForUnit(
  pool: string,
  say: (line: string) => void,
  { fstab, waitMs } = HOST,
): Promise<void> {
  try {
    const lines = readFstab(fstab)
    const line = lines.find((each) => isPoolLine(each) && each.source === checkPoolName(pool))
    if (line === undefined) return say(`pool '${pool}': no line of ${fstab} mounts it`)
    if (hasRecordInRun(pool)) return say(`pool '${pool}' was mounted already: 'guestmemfs resume'`)
    const until = performance.now() + MOST_BEFORE_MOUNT_MS
    const opened = await openWhenThere(line, lines, performance.now() + waitMs)
    if (opened === undefined || opened.savedCount === 0)
      return say(`pool '${pool}': no guest of it can go on before its mount`)
    await startGuestsOf(pool, opened, { late: lateMounts(lines), waitMs, until }, say)
  } catch (error) {
    say(`pool '${pool}': no guest of it goes on before its mount: ${errorText(error)}`)
  }
}

/** Waits for the region, and for mounts of fstab that the mount point lies in. Errors: of `openEarlyPool`. */
async function openWhenThere(
  { source, directory, options }: FstabLine,
  lines: readonly FstabLine[],
  deadline: number,
): Promise<EarlyPool | undefined> {
  const above = lines.filter((line) => line.directory !== '/' && isInside(directory, line.directory))
  const isMounted = ({ directory: target }: FstabLine): boolean =>
    mountTable().some((mount) => mount.target === target)
  await untilTrue(() => above.every(isMounted), deadline)
  if (!above.every(isMounted)) return undefined
  // As the kernel lists it, and so the records of guests.
  const place = earlyPlace({ pool: source, mountPoint: realPath(directory), options: [options] })
  if (place === undefined) return undefined
  await untilTrue(() => isThere(place), deadline)
  for (;;) {
    try {
      return openEarlyPool(place)
    } catch (error) {
      // A driver that is just being bound to the region refuses changes of it.
      if (!(error instanceof SystemCallError) || performance.now() >= deadline) throw error
    }
    await sleep(LOOK_MS)
  }
}

async function untilTrue(holds: () => boolean, deadline: number): Promise<void> {
  while (!holds() && performance.now() < deadline) await sleep(LOOK_MS)
}

function isThere({ kind, region }: EarlyPlace): boolean {
  try {
    findRegion({ kind, region })
    return true
  } catch {
    return false
  }
}

function realPath(directory: string): string {
  try {
    return realpathSync(directory)
  } catch {
    return resolve(directory)
  }
}

const lateMounts = (lines: readonly FstabLine[]): ReadonlySet<string> =>
  new Set(lines.filter(isMountedLate).map(({ directory }) => directory))

/** Of a guest that was saved by a former version nothing is known. */
const whatItLacks = ({ definition }: SavedGuest, late: ReadonlySet<string>): Lacks =>
  definition.hostFiles === undefined
    ? { soon: [], late: ['its record does not say yet which mounts and devices it needs'] }
    : hostLacks(definition, late)

interface Limits {
  /** As of `hostLacks`. */
  readonly late: ReadonlySet<string>
  readonly waitMs: number
  /** When it stops waiting, whatever guests do, by the clock of `performance`. */
  readonly until: number
}

async function startGuestsOf(
  pool: string,
  { guests, reach, savedCount }: EarlyPool,
  { late, waitMs, until }: Limits,
  say: (line: string) => void,
): Promise<void> {
  const waiting = savedCount - guests.length
  if (waiting > 0) say(`pool '${pool}': guests that need its mount: ${waiting}`)
  if (guests.length === 0) return
  const region = reach()
  const withdrawal = new AbortController()
  const limits = { timeoutMs: MOST_BEFORE_MOUNT_MS, withdrawn: withdrawal.signal }
  const outcome = new EarlyOutcome(ownStartMs(), (record) => writeEarlyRecord(pool, record))
  const found = await startWhenReady(guests, {
    lacks: (guest) => whatItLacks(guest, late),
    start: (ready) =>
      startEach(
        ready,
        (guest) => reachGuest(region, guest),
        (guest) => outcome.of(guest, continueEarly(region, guest, limits)),
      ),
    waitMs,
  })
  await within(Promise.all(found.started.values()), until - performance.now())
  // From here on `continueEarly` writes no mark.
  withdrawal.abort()
  for (const line of outcome.end(guests, found)) say(line)
}
