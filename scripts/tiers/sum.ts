/** The last lines of a test run: a count per tier with its reasons, the emulator's failures, and the sum. */
import { isTooOften, ledgerLine, readLedger } from '../../testbed/scenario/ledger.ts'
import { type Tally, tallyLines } from './tally.ts'
import type { Tier } from './tiers.ts'

const SCENARIOS = new Set(['kexec', 'testbed', 'long'])

/** The lines, the last one `N passed, N failed`; and whether that is good. */
export function sumUp(tallies: readonly (readonly [Tier, Tally])[]): { lines: string[]; isGood: boolean } {
  // Once more: they are far above by now, or were cut out of what a machine keeps of its output.
  const failures = tallies.flatMap(([, tally]) =>
    tally.failures.flatMap(([path, ...why]) => [`FAILED  ${path}`, ...why]),
  )
  const counts = tallies.flatMap(([{ name, budgetMinutes }, tally]) => tallyLines(name, tally, budgetMinutes))
  const lines = [...failures, ...counts]
  const sum = (pick: (tally: Tally) => number): number =>
    tallies.reduce((total, [, tally]) => total + pick(tally), 0)
  const passed = sum((tally) => tally.passed)
  let failed = sum((tally) => tally.failed)
  if (tallies.some(([{ name }, tally]) => SCENARIOS.has(name) && tally.passed + tally.failed > 0)) {
    const ledger = readLedger()
    lines.push(ledgerLine(ledger))
    if (isTooOften(ledger)) {
      lines.push('FAILED  more than one in twenty: what passes here proves nothing (testbed/README.md)')
      failed += 1
    }
  }
  // In CI a tier that ran no test is a failure.
  for (const [{ name }, tally] of tallies)
    if (process.env.CI === 'true' && tally.passed + tally.failed === 0) {
      lines.push(`FAILED  the tier ${name} ran nothing here`)
      failed += 1
    }
  if (passed + failed === 0) lines.push('no test ran')
  lines.push(`${passed} passed, ${failed} failed`)
  return { lines, isGood: failed === 0 && passed > 0 }
}
