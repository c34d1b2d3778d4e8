/**
 * Saved guests are started as what each needs of its host comes, guest by guest, with a limit: the mount of
 * their pool waits meanwhile. Must not: know what they need, or how one is started.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { EarlyGuests, EarlyResult } from '../liveupdate/guest/early-result.ts'
import { isLacking, type Lacks } from './lacks.ts'
import type { SavedGuest } from './saved-guests.ts'

const LOOK_MS = 50

export interface ReadyStart {
  readonly lacks: (guest: SavedGuest) => Lacks
  /** Starts guests that lack nothing, in that order. None of its promises rejects, nor does it. */
  readonly start: (guests: readonly SavedGuest[]) => Promise<EarlyGuests>
  /** No guest is waited for longer. */
  readonly waitMs: number
}

export interface StartedGuests {
  readonly started: EarlyGuests
  /** What each of those lacks that were not started, by name: one line. */
  readonly left: ReadonlyMap<string, string>
}

/**
 * A guest that lacks what may come late is not waited for by itself, only as long as another one is waited
 * for or is on its way: what brings it may wait for the mount.
 */
export async function startWhenReady(
  guests: readonly SavedGuest[],
  { lacks, start, waitMs }: ReadyStart,
): Promise<StartedGuests> {
  const deadline = performance.now() + waitMs
  const started = new Map<string, Promise<EarlyResult | undefined>>()
  let onTheirWay = 0
  let waiting: readonly SavedGuest[] = guests
  for (;;) {
    const found = waiting.map((guest) => ({ guest, lacking: lacks(guest) }))
    const ready = found.filter(({ lacking }) => !isLacking(lacking)).map(({ guest }) => guest)
    for (const [name, going] of ready.length === 0 ? [] : await start(ready)) {
      started.set(name, going)
      onTheirWay++
      void going.then(() => onTheirWay--)
    }
    const others = found.filter(({ lacking }) => isLacking(lacking))
    waiting = others.map(({ guest }) => guest)
    const isWorthIt = onTheirWay > 0 || others.some(({ lacking }) => lacking.late.length === 0)
    if (waiting.length === 0 || !isWorthIt || performance.now() >= deadline)
      return { started, left: new Map(others.map(({ guest, lacking }) => lineOf(guest, lacking))) }
    await sleep(LOOK_MS)
  }
}

const lineOf = ({ definition }: SavedGuest, { soon, late }: Lacks): [string, string] => [
  definition.name,
  [...late, ...soon][0] ?? '',
]
