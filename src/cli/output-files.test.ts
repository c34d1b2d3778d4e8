/** Tests of commands that write a file which the operator names: `report --html` and `metrics --textfile`. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { sampleReport } from '../liveupdate/report/page/testing/sample-updates.ts'
import { readPage, textIn } from '../liveupdate/report/page/testing/sound-html.ts'
import { keepReport } from '../liveupdate/report/update-report.ts'
import { readExposition } from '../metrics/testing/read-exposition.ts'
import { REPORTS } from '../run/paths.ts'

const CLI = fileURLToPath(new URL('../cli.ts', import.meta.url))
const notRoot = process.getuid?.() !== 0 && 'needs root'

function guestmemfs(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  const node = ['--disable-warning=ExperimentalWarning', CLI, ...words]
  return spawnSync(process.execPath, node, { encoding: 'utf8' })
}

function scratchFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'output-files-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

/** A report that is kept as that of the last update, of a mount that no other test has. */
function keepSample(t: TestContext): string {
  const mountPoint = `/mnt-<${process.pid}>`
  t.after(() => rmSync(join(REPORTS, `${encodeURIComponent(mountPoint)}.json`)))
  assert.equal(keepReport(sampleReport({ mountPoint, startedAtMs: Date.now() + 1e9 })), undefined)
  return mountPoint
}

test('report --html: the page replaces the file, and is for its owner alone', { skip: notRoot }, (t) => {
  const path = join(scratchFolder(t), 'page.html')
  const mountPoint = keepSample(t)
  const done = { status: 0, stdout: '', stderr: '' }
  for (const mode of [0o600, 0o640]) {
    const { status, stdout, stderr } = guestmemfs('report', '--html', path)
    assert.deepEqual({ status, stdout, stderr }, done)
    const text = textIn(readPage(readFileSync(path, 'utf8')))
    assert.ok(text.includes(`Mounts ${mountPoint} Kernel 6.12.1 → 7.3.4 by kexec`), text)
    assert.equal(statSync(path).mode & 0o777, mode)
    chmodSync(path, 0o640)
  }
})

test('metrics --textfile: others may read the file, and it says the same as without the option', {
  skip: notRoot,
}, (t) => {
  const folder = scratchFolder(t)
  const path = join(folder, 'guestmemfs.prom')
  const mountPoint = keepSample(t)
  const inFile = guestmemfs('metrics', '--textfile', path)
  assert.deepEqual([inFile.status, inFile.stdout], [0, ''], inFile.stderr)
  assert.equal(statSync(path).mode & 0o777, 0o644)
  assert.deepEqual(readdirSync(folder), ['guestmemfs.prom'])
  for (const text of [readFileSync(path, 'utf8'), guestmemfs('metrics').stdout]) {
    const series = readExposition(text)
    const success = series.filter(
      ({ name, labels }) => name === 'guestmemfs_last_update_success' && labels.mountpoint === mountPoint,
    )
    assert.deepEqual(
      success.map(({ value }) => value),
      [1],
    )
    assert.equal(series.at(-1)?.name, 'guestmemfs_read_problems')
  }
})

test('a file that cannot be written, and options that exclude each other, are one line', {
  skip: notRoot,
}, (t) => {
  const folder = scratchFolder(t)
  const refusals: readonly (readonly [RegExp, ...string[]])[] = [
    [/is no regular file: name another one$/, 'report', '--html', folder],
    [/cannot be written \(ENOENT\)$/, 'report', '--html', join(folder, 'none/page.html')],
    [/^guestmemfs: give either --html FILE or --json$/, 'report', '--json', '--html', join(folder, 'page')],
    [/cannot be written \(ENOTDIR\)$/, 'metrics', '--textfile', join(CLI, 'a.prom')],
  ]
  for (const [line, ...words] of refusals) {
    const { status, stdout, stderr } = guestmemfs(...words)
    assert.deepEqual([status, stdout], [1, ''])
    assert.match(stderr.trimEnd(), line)
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr)
  }
  assert.deepEqual(readdirSync(folder), [])
})
