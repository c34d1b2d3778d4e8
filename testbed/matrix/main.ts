/**
 * `npm run testbed -- matrix [WORD…]`: runs the rows whose name holds every word, one after the other, and
 * writes the page.
 */
import { UsageError } from '../../src/values/errors.ts'
import { isTooOften, ledgerLine, readLedger } from '../scenario/ledger.ts'
import { StoppedError } from '../scenario/run.ts'
import { runTrusted } from '../scenario/trusted-run.ts'
import { keepSeen } from './page.ts'
import { rowScenario } from './row-scenario.ts'
import { choiceOf, ROWS, rowsOf } from './rows.ts'

/** Returns the exit code. Throws `UsageError` where no row matches. */
export async function runMatrix(words: readonly string[], say: (line: string) => void): Promise<number> {
  const rows = rowsOf(words)
  if (rows.length === 0)
    throw new UsageError(
      `no row of the matrix holds ${words.join(' ')}: there are ${ROWS.map(({ name }) => name).join(', ')}`,
    )
  const failures: string[] = []
  let repeats = 0
  for (const [index, row] of rows.entries()) {
    say(`── ${index + 1} of ${rows.length}: ${row.name}`)
    const outcome = await runTrusted('matrix', rowScenario(row), choiceOf(row), say).catch(unlessStopped)
    if (typeof outcome === 'string') {
      failures.push(`${row.name}: ${outcome}`)
      continue
    }
    const { summary, result, emulator } = outcome
    if (emulator !== undefined) repeats++
    if (result === undefined || summary.verdict !== 'passed') {
      failures.push(`${row.name}: ${summary.failure} (${summary.folder})`)
      continue
    }
    const on = new Date().toISOString().slice(0, 10)
    keepSeen({ row: row.name, on, accelerator: summary.accelerator, ...result })
  }
  for (const failure of failures) say(`FAILED  ${failure}`)
  say(`emulator: ${repeats} repeated; ${ledgerLine(readLedger())}`)
  if (isTooOften(readLedger())) failures.push('the emulator fails too often: nothing is proven')
  say(`${rows.length - failures.length} passed, ${failures.length} failed`)
  return failures.length === 0 ? 0 : 1
}

/** A row that cannot be run (a kernel that Debian no longer has) must not stop the others. */
function unlessStopped(error: unknown): string {
  if (error instanceof UsageError && !(error instanceof StoppedError)) return error.message
  throw error
}
