/**
 * Owns checking an image without mounting it: all that can be said about it, in the order it is
 * found. Reading only; it repairs nothing, because opening an image mends all that a crash can leave.
 */
import { CorruptBytesError } from '../../values/errors.ts'
import { readCheckpoint, readSlotState } from './checkpoint.ts'
import type { Geometry } from './format.ts'
import { readHeader } from './header.ts'
import type { VerifiableState } from './image-state.ts'
import { type Recovered, recover } from './recovery.ts'

/**
 * `error`: the image is refused, or what it holds contradicts itself. `warning`: bytes are harmed that recovery
 * can do without. `note`: what a crash leaves and the next mount mends.
 */
export interface Finding {
  readonly severity: 'error' | 'warning' | 'note'
  readonly where: 'header' | 'checkpoint' | 'log' | 'state'
  readonly message: string
}

/**
 * All findings about the image in `area`; none of severity `error` means it will open and is consistent.
 * `emptyState` is filled with what the image holds. `chunkBlocksOf`: of a kind of store (`PlacementRules`).
 * Never throws for what the bytes are.
 */
export function checkImage(
  area: Uint8Array,
  emptyState: VerifiableState,
  chunkBlocksOf: (storeKind: string) => number | undefined,
): Finding[] {
  const findings: Finding[] = []
  const header = attempt(findings, 'header', () => readHeader(area))
  if (header === undefined) return findings
  const found = attempt(findings, 'log', () => recover(area, header.geometry))
  findings.push(...checkSlots(area, header.geometry, found?.checkpointGeneration))
  if (found === undefined) return findings
  findings.push(...describeEnd(found))
  for (const entry of found.fold.entries()) emptyState.apply(entry)
  const { totalBlocks, storeKind } = header.identity
  for (const message of emptyState.verify(totalBlocks, chunkBlocksOf(storeKind))) {
    findings.push({ severity: 'error', where: 'state', message })
  }
  return findings
}

/** The slot recovery did not use: harm there loses nothing now, but it is harm. */
function checkSlots(area: Uint8Array, geometry: Geometry, used: number | undefined): Finding[] {
  const findings: Finding[] = []
  for (const side of [0, 1] as const) {
    const slot = readSlotState(area, geometry, side)
    if (slot.kind === 'unfinished') {
      if (slot.blank) continue
      const message = `the commit word of slot ${side} is neither zero nor whole`
      findings.push({ severity: 'warning', where: 'checkpoint', message })
    } else if (slot.generation !== used) {
      const spare: Finding[] = []
      attempt(spare, 'checkpoint', () => readCheckpoint(area, geometry, slot.generation))
      findings.push(...spare.map((finding): Finding => ({ ...finding, severity: 'warning' })))
    }
  }
  return findings
}

function describeEnd(found: Recovered): Finding[] {
  const findings: Finding[] = []
  if (found.active.torn) {
    const message = `log segment ${found.activeGeneration} ends in a record that was never acknowledged`
    findings.push({ severity: 'note', where: 'log', message })
  }
  if (found.activeGeneration > found.checkpointGeneration) {
    const message = `checkpoint ${found.activeGeneration} is under way`
    findings.push({ severity: 'note', where: 'checkpoint', message })
  }
  return findings
}

/** The result of `read`, or a finding that says why there is none. */
function attempt<T>(findings: Finding[], where: Finding['where'], read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof CorruptBytesError)) throw error
    findings.push({ severity: 'error', where, message: error.message })
    return undefined
  }
}
