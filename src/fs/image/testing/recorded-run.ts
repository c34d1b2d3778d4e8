/**
 * A recorded run of an image, with the stores of each commit and the state after it; and the check that
 * recovery from a crash between any two of these stores loses nothing acknowledged.
 */
import { CorruptBytesError } from '../../../values/errors.ts'
import type { Entry } from '../../state/entry.ts'
import { checkImage } from '../fsck-image.ts'
import { type Geometry, geometryOf } from '../image-format.ts'
import type { TracedStore } from '../writer.ts'
import type { Random } from './random.ts'
import { formatted, openImage, replay } from './sample-image.ts'
import { BLOCKS, randomEntries } from './steps.ts'
import { TableState } from './table-state.ts'

export interface Commit {
  readonly stores: readonly TracedStore[]
  /** `TableState.snapshot` after it. */
  readonly snapshot: string
}

export interface Run {
  readonly base: Uint8Array
  readonly baseSnapshot: string
  readonly commits: readonly Commit[]
  readonly generations: number
}

/** Commits on a small area, so that segments are switched and checkpoints written many times. */
export function recordRun(count: number, step: () => Entry[]): Run {
  const area = formatted()
  const base = area.slice()
  let stores: TracedStore[] = []
  const image = openImage(area, (store) => stores.push(store))
  const baseSnapshot = image.state.snapshot()
  const commits: Commit[] = []
  while (commits.length < count) {
    const entries = step()
    if (!image.fits(entries)) continue
    image.commit({ unique: BigInt(commits.length + 1), epoch: 1 }, entries)
    commits.push({ stores, snapshot: image.state.snapshot() })
    stores = []
  }
  return { base, baseSnapshot, commits, generations: image.generation }
}

export const randomRun = (random: Random, count: number): Run => recordRun(count, () => randomEntries(random))

class Verifiable extends TableState {
  verify(): string[] {
    return []
  }
}

/**
 * The first fault after a crash somewhere in `run`, or after a byte was damaged behind a commit; undefined:
 * none. `disguise` changes the damaged area before it is checked.
 */
export function faultOf(run: Run, disguise: (area: Uint8Array) => void = () => {}): string | undefined {
  const geometry = geometryOf(run.base.length)
  const area = run.base.slice()
  let before = run.baseSnapshot
  for (const [index, commit] of run.commits.entries()) {
    for (const [number, store] of commit.stores.entries()) {
      replay(area, store)
      const fault = faultNow(area, [before, commit.snapshot])
      if (fault !== undefined) return `commit ${index}, store ${number}: ${fault}`
    }
    const fault = faultNow(area, [commit.snapshot]) ?? unnoticedHarm(area, geometry, commit, disguise)
    if (fault !== undefined) return `after commit ${index}: ${fault}`
    before = commit.snapshot
  }
  return undefined
}

/** The fault if the server dies now and the next one must find one of the `allowed` states. */
function faultNow(area: Uint8Array, allowed: readonly string[]): string | undefined {
  const finding = checkImage(area, new Verifiable(BLOCKS), () => undefined).find(
    ({ severity }) => severity !== 'ok',
  )
  if (finding !== undefined) return finding.message
  const image = openImage(area.slice())
  return allowed.includes(image.state.snapshot())
    ? undefined
    : 'the state is neither the one before nor the one after'
}

/** A byte of the newest record is damaged: opening must refuse that, because the record was acknowledged. */
function unnoticedHarm(
  area: Uint8Array,
  geometry: Geometry,
  commit: Commit,
  disguise: (area: Uint8Array) => void,
): string | undefined {
  const [first] = geometry.segmentOffsets
  const body = commit.stores.find(({ offset, bytes }) => offset >= first && bytes.length > 8)
  if (body === undefined) return 'there is no record'
  const damaged = area.slice()
  const place = body.offset + (body.bytes.length >> 1)
  damaged[place] = (damaged[place] as number) ^ 1
  disguise(damaged)
  try {
    openImage(damaged)
  } catch (error) {
    if (error instanceof CorruptBytesError) return undefined
    throw error
  }
  return 'damage to an acknowledged record is not noticed'
}
