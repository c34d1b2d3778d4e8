/**
 * `npm run faults -- [ID…]`: runs each row of the table with the fault in place, where its test must fail and
 * say so, and prints a line for each. `--tree FOLDER`: another folder with the oldest tree than one that is
 * made of the history. `--mended`: runs the same tests on today's tree, where they must pass. It needs root
 * and what those tests need; a test that skips shows nothing, and is a failure.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { UsageError } from '../../src/values/errors.ts'
import { OLDEST, takeOlder } from '../../testbed/older-tree.ts'
import { revertIn } from './revert-in.ts'
import { type Revert, ROWS, type Row } from './rows.ts'

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
const OWN_RUN = 'mkdir -p /run/guestmemfs; mount -t tmpfs -o mode=755 tmpfs /run/guestmemfs; exec "$@"'

interface Ran {
  readonly output: string
  /** Of the test of that title alone. */
  readonly verdict: 'passed' | 'failed' | 'skipped' | 'not run'
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')

/** Runs the test in `folder`; `tree`: whose program it starts. */
function runTest(folder: string, { file, title }: Row, tree: string | undefined): Ran {
  const node = [
    process.execPath,
    '--test',
    '--test-reporter=tap',
    `--test-name-pattern=^${escaped(title)}$`,
    file,
  ]
  const { stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-ec', OWN_RUN, 'sh', ...node], {
    cwd: folder,
    encoding: 'utf8',
    timeout: TEST_MS,
    env: {
      ...process.env,
      NODE_TEST_CONTEXT: undefined,
      ...(tree === undefined ? {} : { GUESTMEMFS_TREE: tree }),
    },
  })
  const output = stdout + stderr
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

function withReverts<T>(reverts: readonly Revert[], work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-fault-'))
  try {
    for (const name of COPIED) cpSync(join(PROJECT, name), join(folder, name), { recursive: true })
    symlinkSync(join(PROJECT, 'node_modules'), join(folder, 'node_modules'))
    for (const revert of reverts) revertIn(folder, revert)
    return work(folder)
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
const own = mkdtempSync(join(tmpdir(), 'guestmemfs-oldest-'))
try {
  const oldest = values.tree ?? join(own, 'tree')
  if (values.tree === undefined && !values.mended && rows.some(({ how }) => how === 'old tree'))
    takeOlder(OLDEST, oldest)
  for (const row of rows) {
    const { how } = row
    const ran = values.mended
      ? runTest(PROJECT, row, undefined)
      : how === 'old tree'
        ? runTest(PROJECT, row, oldest)
        : withReverts(how, (folder) => runTest(folder, row, undefined))
    const { line, isRight } = judge(row, ran, values.mended)
    process.stdout.write(`${line}\n`)
    if (!isRight) process.exitCode = 1
    if (!isRight || values.output) process.stdout.write(`${ran.output.slice(-4000)}\n`)
  }
} finally {
  rmSync(own, { recursive: true, force: true })
}
