/**
 * The check of an image without mounting it: all findings, in the order in which they are made. Reading only;
 * it repairs nothing, because a server that opens an image repairs all that a crash can leave.
 */
import { CorruptBytesError } from '../../values/errors.ts'
import { type Finding, fail, ok, warn } from '../../values/finding.ts'
import { readCheckpoint, readSlotState } from './checkpoint.ts'
import { readHeader } from './header.ts'
import type { Geometry } from './image-format.ts'
import type { VerifiableState } from './image-state.ts'
import { type Recovered, recoverImage } from './recovery.ts'

/** A part of an image: the subject of a finding. */
type Part = 'header' | 'checkpoint' | 'log' | 'state'

/**
 * All findings about the image in `area`. 'error': the image is refused, or what it holds contradicts itself;
 * none of them means it will open and is consistent. 'warn': bytes are damaged that recovery does not need.
 * 'ok': what a crash leaves and the next mount repairs. `emptyState` is filled with what the image holds.
 * `chunkBlocksOf`: of a kind of store (`PlacementRules`). Never throws for what the bytes are.
 */
export function checkImage(
  area: Uint8Array,
  emptyState: VerifiableState,
  chunkBlocksOf: (storeKind: string) => number | undefined,
): Finding[] {
  const findings: Finding[] = []
  const header = attempt(findings, 'header', () => readHeader(area))
  if (header === undefined) return findings
  if (header.isHalfUpgraded)
    findings.push(ok('header', `its upgrade to version ${header.version} is under way`))
  const found = attempt(findings, 'log', () => recoverImage(area, header.geometry))
  findings.push(...checkSlots(area, header.geometry, found?.checkpointGeneration))
  if (found === undefined) return findings
  findings.push(...describeEnd(found))
  for (const entry of found.fold.entries()) emptyState.apply(entry)
  const { totalBlocks, storeKind } = header.identity
  for (const message of emptyState.verify(totalBlocks, chunkBlocksOf(storeKind))) {
    findings.push(fail('state', message))
  }
  return findings
}

/** The slot that recovery did not use: damage there loses nothing now, but is reported. */
function checkSlots(area: Uint8Array, geometry: Geometry, used: number | undefined): Finding[] {
  const findings: Finding[] = []
  for (const side of [0, 1] as const) {
    const slot = readSlotState(area, geometry, side)
    if (slot.kind === 'unfinished') {
      if (slot.blank) continue
      findings.push(warn('checkpoint', `the commit word of slot ${side} is neither zero nor whole`))
    } else if (slot.generation !== used) {
      const spare: Finding[] = []
      attempt(spare, 'checkpoint', () => readCheckpoint(area, geometry, slot.generation))
      findings.push(...spare.map((finding): Finding => ({ ...finding, severity: 'warn' })))
    }
  }
  return findings
}

function describeEnd(found: Recovered): Finding[] {
  const findings: Finding[] = []
  if (found.active.torn) {
    findings.push(
      ok('log', `log segment ${found.activeGeneration} ends in a record that was never acknowledged`),
    )
  }
  if (found.activeGeneration > found.checkpointGeneration) {
    findings.push(ok('checkpoint', `checkpoint ${found.activeGeneration} is under way`))
  }
  return findings
}

/** The result of `read`, or a finding that says why there is none. */
function attempt<T>(findings: Finding[], part: Part, read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof CorruptBytesError)) throw error
    findings.push(fail(part, error.message))
    return undefined
  }
}
