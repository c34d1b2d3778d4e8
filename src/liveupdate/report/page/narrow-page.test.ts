/**
 * Tests of the page in a browser, where one is installed: nothing of it is cut off on a narrow screen, and
 * its bars are where they should be.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { hostUpdates } from '../host-updates.ts'
import { escapeText } from './html.ts'
import { reportPage } from './report-page.ts'
import { sampleGuest, sampleReport } from './testing/sample-updates.ts'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const chromium = (process.env.PATH ?? '')
  .split(delimiter)
  .flatMap((folder) => NAMES.map((name) => join(folder, name)))
  .find(isExecutable)

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const WIDTHS = [400, 1200] as const

/** What the browser measures in a frame of a width, in pixels. */
interface Measured {
  readonly widthPx: number
  /** More than the width: the page can be scrolled sideways. */
  readonly scrollWidthPx: number
  /** Of each row's first bar, from the left end of its track, as a part of the track's width. */
  readonly firstBars: readonly number[]
}

/** The page runs no script, so a page around it measures it. */
const measuringPage = (page: string): string => `<!DOCTYPE html><meta charset="utf-8"><body>
${WIDTHS.map((width) => `<iframe style="width:${width}px;height:800px;border:0" srcdoc="${escapeText(page)}"></iframe>`).join('\n')}
<script>
addEventListener('load', () => {
  const measured = [...document.querySelectorAll('iframe')].map((frame) => {
    const inner = frame.contentDocument
    const firstBars = [...inner.querySelectorAll('.guests .track')].map((track) => {
      const { left, width } = track.getBoundingClientRect()
      return (track.querySelector('.bar').getBoundingClientRect().left - left) / width
    })
    return { widthPx: frame.clientWidth, scrollWidthPx: inner.documentElement.scrollWidth, firstBars }
  })
  document.title = JSON.stringify(measured)
})
</script>`

test('on a narrow screen nothing is cut off, and bars are at their times', {
  skip: chromium === undefined && 'no Chromium is installed',
}, (t) => {
  const scratch = mkdtempSync(join(tmpdir(), 'narrow-page-'))
  t.after(() => rmSync(scratch, { recursive: true, force: true }))
  const vms = [sampleGuest({ name: 'a-name-of-64-characters-'.padEnd(64, 'x') }), sampleGuest({ name: 'db' })]
  const updates = hostUpdates([sampleReport({ vms, left: ['x'.repeat(64)] })])
  const path = join(scratch, 'measuring.html')
  writeFileSync(path, measuringPage(reportPage({ host: 'host1', last: updates[0], updates })))
  const words = ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${join(scratch, 'profile')}`]
  const { stdout, stderr } = spawnSync(chromium ?? '', [...words, '--dump-dom', pathToFileURL(path).href], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  const [, title] = /<title>(.*?)<\/title>/.exec(stdout) ?? assert.fail(stderr)
  const measured = JSON.parse(title ?? '') as Measured[]
  assert.deepEqual(
    measured.map(({ widthPx }) => widthPx),
    [...WIDTHS],
  )
  for (const { widthPx, scrollWidthPx, firstBars } of measured) {
    assert.ok(scrollWidthPx <= widthPx, `${scrollWidthPx} pixels in ${widthPx}`)
    assert.equal(firstBars.length, 2)
    // The save begins at 0.5 s of 5 s.
    for (const part of firstBars) assert.ok(Math.abs(part - 0.1) < 0.01, String(part))
  }
})
