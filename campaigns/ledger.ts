/**
 * Owns the ledger of one campaign: a line a round, in the cache beside the testbed's, under a name that
 * follows from what is tested. Another tree has another ledger, and begins anew.
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from '../testbed/cache.ts'
import { jsonLines, readJsonLines } from '../testbed/json-lines.ts'
import { testedKey } from '../testbed/tested.ts'
import type { Round } from './campaign.ts'

const PROJECT = join(import.meta.dirname, '..')
/** What a round is a round of: the program, and what judges it. */
const TESTED = ['package-lock.json', 'src', 'campaigns']

export interface Ledger {
  readonly file: string
  readonly read: () => Round[]
  /** One line, appended whole. */
  readonly append: (round: Round) => void
}

/** `file`: another place for it, which is then not bound to what is tested. */
export function ledgerOf(campaign: string, file?: string): Ledger {
  const place =
    file ?? join(cacheFolder('campaigns'), `${campaign}-${testedKey(PROJECT, TESTED, campaign)}.jsonl`)
  return {
    file: place,
    read: () => readJsonLines<Round>(place),
    append: (round) => appendFileSync(place, jsonLines([round])),
  }
}
