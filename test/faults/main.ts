/**
 * `npm run faults -- [ID…]`: runs each row of the table with the fault in place, where its test must fail and
 * say so, and prints a line for each. `--tree FOLDER`: another folder with the oldest tree than one that is
 * made of the history. `--mended`: runs the same tests on today's tree, where they must pass. It needs root
 * and what those tests need; a test that skips shows nothing, and is a failure.
 */
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { endOnSignals, runChild } from '../../scripts/tiers/run-child.ts'
import { UsageError } from '../../src/values/errors.ts'
import { OLDEST, takeOlder } from '../../testbed/older-tree.ts'
import { revertIn } from './revert-in.ts'
import type { Revert, Row } from './row.ts'
import { ROWS } from './rows.ts'

const PROJECT = join(import.meta.dirname, '../..')
const COPIED = [
  'src',
  'test',
  'testbed',
  'bench',
  'scripts',
  'campaigns',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
]
/** The longest test of the table has half of it. */
const TEST_MS = 600_000
const ERROR_LENGTH = 240

interface Ran {
  readonly output: string
  /** Of the test of that title alone. */
  readonly verdict: 'passed' | 'failed' | 'skipped' | 'not run'
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')

/** Of this run, with a folder of its own for each test. */
const runs = mkdtempSync(join(tmpdir(), 'guestmemfs-faults-'))

/**
 * Runs the test in `project`; `tree`: whose program it starts. What a failed one leaves behind is ended, so
 * that the next row does not meet it.
 */
async function runTest(project: string, { id, file, title }: Row, tree: string | undefined): Promise<Ran> {
  const args = ['--test', '--test-reporter=tap', `--test-name-pattern=^${escaped(title)}$`, file]
  // A child of a Node test reports in another format.
  delete process.env.NODE_TEST_CONTEXT
  if (tree === undefined) delete process.env.GUESTMEMFS_TREE
  else process.env.GUESTMEMFS_TREE = tree
  const { output } = await runChild(args, { project, folder: join(runs, id) }, TEST_MS, () => undefined)
  // TAP escapes `#` and backslashes of a title.
  const line = output
    .split('\n')
    .find(
      (each) =>
        /^\s*(not )?ok \d+ - /.test(each) && each.replaceAll('\\', '').includes(title.replaceAll('\\', '')),
    )
  if (line === undefined) return { output, verdict: 'not run' }
  if (/# SKIP/.test(line)) return { output, verdict: 'skipped' }
  return { output, verdict: /^\s*not ok/.test(line) ? 'failed' : 'passed' }
}

async function withReverts<T>(reverts: readonly Revert[], work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(runs, 'reverted-'))
  try {
    for (const name of COPIED) cpSync(join(PROJECT, name), join(folder, name), { recursive: true })
    symlinkSync(join(PROJECT, 'node_modules'), join(folder, 'node_modules'))
    for (const revert of reverts) revertIn(folder, revert)
    return await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** One line about the row, and whether it is as it must be. */
function judge(row: Row, { output, verdict }: Ran, isMended: boolean): { line: string; isRight: boolean } {
  const wanted = isMended ? 'passed' : 'failed'
  const says = isMended || row.says.test(output)
  const isRight = verdict === wanted && says
  const why =
    verdict === wanted
      ? `it does not say ${row.says}`
      : `it ${verdict === 'not run' ? 'did not run' : verdict}`
  const how = row.how === 'old tree' ? 'old tree' : 'reverted'
  const line = `${isRight ? 'ok    ' : 'WRONG '} ${row.id.padEnd(4)} ${isMended ? 'mended' : how}: ${isRight ? `${verdict}: ${row.about}` : why}`
  return { line: verdict === 'failed' ? `${line}\n            ${errorIn(output)}` : line, isRight }
}

/** The first error of a TAP output, in one line. */
function errorIn(output: string): string {
  const [, text = 'no error is told'] = /^ +error: (?:\|-\n)?((?:.*\n){1,3})/m.exec(output) ?? []
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, ERROR_LENGTH)
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tree: { type: 'string' },
    mended: { type: 'boolean', default: false },
    output: { type: 'boolean', default: false },
  },
})
const unknown = positionals.filter((id) => !ROWS.some((row) => row.id === id))
if (unknown.length > 0) throw new UsageError(`no row ${unknown.join(', ')}`)
const rows = ROWS.filter(({ id }) => positionals.length === 0 || positionals.includes(id))
endOnSignals(runs)
try {
  const oldest = values.tree ?? join(runs, 'tree')
  if (values.tree === undefined && !values.mended && rows.some(({ how }) => how === 'old tree'))
    takeOlder(OLDEST, oldest)
  for (const row of rows) {
    const { how } = row
    const ran = values.mended
      ? await runTest(PROJECT, row, undefined)
      : how === 'old tree'
        ? await runTest(PROJECT, row, oldest)
        : await withReverts(how, (folder) => runTest(folder, row, undefined))
    const { line, isRight } = judge(row, ran, values.mended)
    process.stdout.write(`${line}\n`)
    if (!isRight) process.exitCode = 1
    if (!isRight || values.output) process.stdout.write(`${ran.output.slice(-4000)}\n`)
  }
} finally {
  rmSync(runs, { recursive: true, force: true })
}
