/**
 * The ledger of one campaign: a line a round, in the cache beside the testbed's, under a key of the tested
 * tree. Another tree has another ledger.
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from '../testbed/cache.ts'
import { jsonLines, readJsonLines } from '../testbed/json-lines.ts'
import { testedKey } from '../testbed/tested.ts'
import type { Round } from './campaign.ts'

const PROJECT = join(import.meta.dirname, '..')
/** Paths of what is tested: the program, and the campaigns. */
const TESTED = ['package-lock.json', 'src', 'campaigns']

export interface Ledger {
  readonly file: string
  readonly read: () => Round[]
  /** Appends one line at once. */
  readonly append: (round: Round) => void
}

/** `file`: another place for it, whatever the tested tree is. */
export function ledgerOf(campaign: string, file?: string): Ledger {
  const place =
    file ?? join(cacheFolder('campaigns'), `${campaign}-${testedKey(PROJECT, TESTED, campaign)}.jsonl`)
  return {
    file: place,
    read: () => readJsonLines<Round>(place),
    append: (round) => appendFileSync(place, jsonLines([round])),
  }
}
