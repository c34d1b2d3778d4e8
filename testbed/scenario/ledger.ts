/**
 * The ledger of runs on this machine, in the cache: how often the emulator failed. One run in twenty may; on
 * a machine with more failures, passed repeats prove nothing.
 */
import { appendFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from '../cache.ts'
import { jsonLines, readJsonLines } from '../json-lines.ts'
import type { Verdict } from './recorder.ts'

export interface LedgerEntry {
  /** ISO 8601. */
  readonly at: string
  readonly scenario: string
  readonly verdict: Verdict
  /** Why the failure is the emulator's. */
  readonly emulator?: string
}

/** Runs that count. */
export const LEDGER_RUNS = 100
const ALLOWED_SHARE = 1 / 20
/** Rewritten when it is that long. */
const MAX_LINES = 1000

const ledgerFile = (): string => join(cacheFolder('.'), 'ledger.jsonl')

/** One line each, appended whole: two testbeds at once do not disturb one another. */
export function noteRun(entry: LedgerEntry): void {
  const file = ledgerFile()
  appendFileSync(file, jsonLines([entry]))
  const entries = readJsonLines(file)
  if (entries.length <= MAX_LINES) return
  writeFileSync(`${file}.new`, jsonLines(entries.slice(-LEDGER_RUNS)))
  renameSync(`${file}.new`, file)
}

/** The last runs, oldest first. */
export const readLedger = (): LedgerEntry[] => readJsonLines<LedgerEntry>(ledgerFile()).slice(-LEDGER_RUNS)

/** `3 of the last 100 runs on this machine failed by the emulator`. */
export function ledgerLine(entries: readonly LedgerEntry[]): string {
  return `${countEmulator(entries)} of the last ${entries.length} runs on this machine failed by the emulator`
}

/** More than one in twenty; a single one is never too many, or the first run on a machine could fail it. */
export function isTooOften(entries: readonly LedgerEntry[]): boolean {
  return countEmulator(entries) > Math.max(1, entries.length * ALLOWED_SHARE)
}

const countEmulator = (entries: readonly LedgerEntry[]): number =>
  entries.filter(({ verdict }) => verdict === 'emulator').length
