/** The check of a pool's image, in its holder's memory or in a file. Must not: change anything. */
import { checkImage } from '../fs/image/fsck-image.ts'
import { State } from '../fs/state/state.ts'
import { chunkBlocksOf } from '../stores/registry.ts'
import type { Finding } from '../values/finding.ts'
import { readPoolImage } from './pool-image.ts'

/** A server may be in the middle of a record: only a finding that recurs each time is reported. */
const LOOKS_AT_SERVED_IMAGE = 3

/** `named`: a pool, a mount point, or a file that holds an image. Errors: UsageError. */
export function checkPoolImage(named: string): Finding[] {
  const { area, isServed } = readPoolImage(named)
  let findings = checkImage(area, new State(), chunkBlocksOf)
  for (let look = 1; isServed && look < LOOKS_AT_SERVED_IMAGE && findings.length > 0; look++) {
    findings = checkImage(readPoolImage(named).area, new State(), chunkBlocksOf)
  }
  return findings
}
