/**
 * The byte that describes one block of the pool: the state that was last stated for it, and whether an
 * ordinary file or guest RAM owns it.
 */
import type { Extent } from '../../stores/store.ts'
import type { BlockState } from '../state/entry.ts'

/**
 * The low two bits are the stated state, those above them the owner. All bits zero: a clean block without an
 * owner.
 */
export const CLEAN = 0
const STATED = { clean: CLEAN, dirty: 1, bad: 2 } as const satisfies Record<BlockState, number>
const STATED_MASK = 3
const OWNED = 4
const OWNED_BY_GUEST_RAM = OWNED | 8
const STATES = ['clean', 'dirty', 'bad'] as const

export type BlockKind = BlockState | 'ordinary' | 'guestRam'
/** How many blocks of each kind. */
export type Tally = Record<BlockKind, number>

export const isOwned = (block: number): boolean => (block & OWNED) !== 0
export const isDirty = (block: number): boolean => block === STATED.dirty
export const owned = (block: number, guestRam: boolean): number =>
  block | (guestRam ? OWNED_BY_GUEST_RAM : OWNED)
export const disowned = (block: number): number => block & STATED_MASK
export const stated = (block: number, state: BlockState): number => (block & ~STATED_MASK) | STATED[state]

export function kindOf(block: number): BlockKind {
  if (!isOwned(block)) return STATES[block & STATED_MASK] as BlockState
  return (block & OWNED_BY_GUEST_RAM) === OWNED ? 'ordinary' : 'guestRam'
}

export const noBlocks = (): Tally => ({ clean: 0, dirty: 0, bad: 0, ordinary: 0, guestRam: 0 })

export function tally(blocks: Uint8Array, { start, count }: Extent): Tally {
  const found = noBlocks()
  for (let at = start; at < start + count; at++) found[kindOf(blocks[at] as number)]++
  return found
}

/** The runs of clean blocks in `extent` that no file owns, ascending. */
export function cleanRuns(blocks: Uint8Array, { start, count }: Extent): Extent[] {
  const runs: Extent[] = []
  let runStart = start
  for (let at = start; at <= start + count; at++) {
    if (at < start + count && blocks[at] === CLEAN) continue
    if (at > runStart) runs.push({ start: runStart, count: at - runStart })
    runStart = at + 1
  }
  return runs
}
