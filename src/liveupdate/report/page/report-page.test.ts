/** Tests of the page: what it says, and that it is sound whatever the reports have. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostUpdates } from '../host-updates.ts'
import { PHASES, VM_OUTCOMES } from '../timeline.ts'
import { reportPage } from './report-page.ts'
import { sampleGuest, sampleReport, sampleUpdate } from './testing/sample-updates.ts'
import { elementsIn, type PageElement, readPage, textIn } from './testing/sound-html.ts'

/** Read, and checked for what must hold of each page. */
function pageOf(last = sampleUpdate(), updates = [last], host = 'host1'): PageElement {
  const page = readPage(reportPage({ host, last, updates }))
  for (const table of elementsIn(page, 'table')) {
    const rows = elementsIn(table, 'tr').map((row) => row.children.filter((cell) => typeof cell === 'object'))
    assert.equal(new Set(rows.map(({ length }) => length)).size, 1, 'as many cells in each row')
    assert.equal(elementsIn(table, 'caption').length, 1)
    for (const cell of elementsIn(table, 'th'))
      assert.match(cell.attributes.get('scope') ?? '', /^(row|col)$/)
  }
  for (const style of stylesIn(page)) {
    const { left = 0, width = 0 } = style
    assert.ok(left >= 0 && width >= 0 && left + width <= 100.001, JSON.stringify(style))
  }
  return page
}

function allIn(element: PageElement): PageElement[] {
  return [element, ...element.children.flatMap((child) => (typeof child === 'string' ? [] : allIn(child)))]
}

/** The numbers of each `style=`, which has nothing but percentages. */
function stylesIn(page: PageElement): Record<string, number>[] {
  return allIn(page).flatMap(({ attributes }) => {
    const style = attributes.get('style')
    if (style === undefined) return []
    const words = style
      .split(';')
      .map((word) => /^(left|width):(\d+(?:\.\d+)?)%$/.exec(word) ?? assert.fail(style))
    return [Object.fromEntries(words.map(([, name, value]) => [name, Number(value)]))]
  })
}

const ofClass = (page: PageElement, name: string): PageElement[] =>
  allIn(page).filter(({ attributes }) => attributes.get('class')?.split(' ').includes(name))

const headings = (page: PageElement): string[] => elementsIn(page, 'h2').map(textIn)

function sectionOf(page: PageElement, heading: string): string {
  const section = elementsIn(page, 'section').find(
    (each) => elementsIn(each, 'h2').map(textIn)[0] === heading,
  )
  return section === undefined ? assert.fail(`no section ${heading}`) : textIn(section)
}

test('the page names no other file, has no script, and its policy lets it load none', () => {
  const text = reportPage({ host: 'host1', last: sampleUpdate(), updates: [] })
  assert.doesNotMatch(
    text,
    /<(script|link|img|iframe|object|base|form)\b|\b(src|href|srcset|on\w+)=|url\(|@import|\/\//i,
  )
  assert.ok(
    text.includes(`"Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`),
  )
  assert.match(text, /@media \(prefers-color-scheme:dark\)/)
  assert.match(text, /@media print/)
})

test('guests on one time axis, and the jump as a line across all rows', () => {
  const page = pageOf()
  const rows = ofClass(page, 'guests')
    .flatMap((table) => elementsIn(table, 'tr'))
    .slice(1)
  assert.deepEqual(
    rows.map((row) => textIn(elementsIn(row, 'th')[0]!)),
    ['db ✓ updated', 'web ✓ updated'],
  )
  const [, web] = rows
  const bars = ofClass(web!, 'bar').map(({ attributes }) => [
    attributes.get('class'),
    attributes.get('style'),
  ])
  assert.deepEqual(bars.slice(0, 3), [
    ['bar save', 'left:10%;width:4%'],
    ['bar freeze', 'left:14%;width:6%'],
    ['bar jump', 'left:20%;width:20%'],
  ])
  assert.deepEqual(
    rows.map((row) => ofClass(row, 'jump-line').map(({ attributes }) => attributes.get('style'))),
    [['left:20%'], ['left:20%']],
  )
  // The jump ends at 2 s of 5, and is known to within 9.5 ms.
  assert.equal(ofClass(web!, 'doubt')[0]?.attributes.get('style'), 'left:39.81%;width:0.38%')
  const track = elementsIn(web!, 'div').find(({ attributes }) => attributes.get('role') === 'img')
  assert.match(track?.attributes.get('aria-label') ?? '', /^save 200\.0 ms, freeze 300\.0 ms, jump 1\.00 s, /)
})

test('the figures are those of `guestmemfs report`, and every phase that is shown is explained', () => {
  const page = pageOf()
  const [figures] = ofClass(page, 'figures')
  assert.match(textIn(figures!), /web 1G updated 10\.0\.2 → 11\.1\.0 200\.0 ms .* 4\.00 s$/)
  const explained = ofClass(page, 'swatch').map(({ attributes }) => attributes.get('class')?.split(' ')[1])
  assert.deepEqual(explained, ['save', 'freeze', 'jump', 'boot', 'mount', 'load'])
})

test('where no update is known, the page says so', () => {
  const page = readPage(reportPage({ host: '', last: undefined, updates: [] }))
  assert.match(textIn(page), /There was no live update that is known/)
})

test('each phase has a colour in the style', () => {
  const text = reportPage({ host: '', last: undefined, updates: [] })
  for (const phase of PHASES) assert.match(text, new RegExp(`\\n\\.${phase}\\{background:`))
})

test('guests with problems are first, the worst of them before the others, each with its reason', () => {
  const outcomes = VM_OUTCOMES.map((outcome) =>
    sampleGuest({ name: outcome, outcome, problem: outcome === 'updated' ? null : `why ${outcome}` }),
  )
  const page = pageOf(sampleUpdate({ vms: outcomes, left: ['gone'] }))
  assert.equal(headings(page)[0], 'Guests with problems')
  const items = elementsIn(page, 'li').map(textIn)
  assert.deepEqual(
    items.map((item) => item.split(' ')[0]),
    ['stranded', 'saved', 'gone', 'rolled-back', 'refused', 'resumed'],
  )
  assert.match(items[0]!, /✗ stranded does not run: .* Reason: why stranded$/)
  assert.match(items[2]!, /✗ left ended with the former kernel.* Reason: the operator left it \(--leave\)$/)
  const rows = elementsIn(ofClass(page, 'guests')[0]!, 'th').map(textIn).slice(3)
  assert.deepEqual(
    rows.map((row) => row.split(' ')[0]),
    ['stranded', 'saved', 'rolled-back', 'refused', 'resumed', 'updated'],
    'of the same blackout',
  )
  assert.match(sectionOf(page, 'Totals'), /Guests 1 × updated; 1 × resumed; 1 × rolled-back; .*; 1 × left/)
  assert.match(textIn(ofClass(page, 'verdict')[0]!), /✗ .* did not do all/)
})

test('where every guest runs, that is what the first section says', () => {
  const page = pageOf()
  assert.match(sectionOf(page, 'Guests with problems'), /None: all 2 guests run as intended\./)
  assert.match(textIn(ofClass(page, 'verdict')[0]!), /✓/)
})

test('a guest that was left, or a kernel that was not replaced, is no success though all others run', () => {
  const verdictOf = (changes: Parameters<typeof sampleUpdate>[0]): string =>
    textIn(ofClass(pageOf(sampleUpdate(changes)), 'verdict')[0]!)
  const { kernel } = sampleReport()
  assert.match(verdictOf({ left: ['gone'] }), /^✗/)
  assert.match(verdictOf({ kernel: { ...kernel!, after: null } }), /^✗/)
  assert.match(verdictOf({ kernel: kernel! }), /^✓/)
})

test('a phase of less than no time is named, too', () => {
  const phases = [{ phase: 'save', startUs: 0, durationUs: -5 }] as const
  const page = pageOf(sampleUpdate({ vms: [sampleGuest({ phases })] }))
  assert.match(sectionOf(page, 'How exact the times are'), /Of 1 guest a time is missing/)
})

test('totals, kernels, QEMUs, what took longest, and how exact it is', () => {
  const page = pageOf()
  const totals = sectionOf(page, 'Totals')
  assert.match(totals, /Began 2026-01-02 03:04:05 UTC Kind kernel Took 5\.00 s Mounts \/mnt\/pool/)
  assert.match(totals, /Kernel 6\.12\.1 → 7\.3\.4 by kexec QEMU 2 × 10\.0\.2 → 11\.1\.0/)
  assert.match(totals, /Blackout longest 4\.10 s, median 4\.00 s, shortest 4\.00 s, of 2 guests RAM 2G/)
  const longest = sectionOf(page, 'What took longest')
  assert.match(longest, /Guest db was stopped longest, for 4\.10 s, of which 2\.00 s were its phase ‘boot’/)
  assert.match(longest, /▲ kernel to init 900\.0 ms shorter with quiet/)
  assert.match(longest, /(?<!▲ )units to mount 400\.0 ms nothing is known/)
  assert.match(sectionOf(page, 'How exact the times are'), /to within 9\.5 ms/)
})

test('an update of QEMU alone says which old QEMUs had to end first, and has no jump', () => {
  const { kernel: _, ...report } = sampleReport()
  const vms = [
    sampleGuest({ quitFirst: 'tap0 is taken', phases: [] }),
    sampleGuest({ name: 'b', quitFirst: null }),
  ]
  const [update] = hostUpdates([{ ...report, kind: 'vmm-only', vms }])
  const page = pageOf(update)
  assert.match(sectionOf(page, 'What took longest'), /had to end before .*: web : tap0 is taken/)
  assert.equal(ofClass(page, 'jump-line').length, 0)
  assert.match(sectionOf(page, 'Guests'), /no times are known/)
})

test('names and reasons with markup in them stay text', () => {
  const hostile = `<script>alert('1')</script>&"\u0000\u001b[31m\ud800`
  const vms = [
    sampleGuest({
      name: hostile,
      problem: hostile,
      outcome: 'saved',
      qemuBefore: hostile,
      quitFirst: hostile,
    }),
  ]
  const kernel = {
    before: hostile,
    after: hostile,
    wanted: hostile,
    via: 'kexec',
    clockUncertaintyUs: 1,
  } as const
  const parts = [{ part: hostile, durationUs: 1, advice: hostile }]
  const facts = { kernel: { ...kernel, parts, early: [hostile] }, left: [hostile] }
  const last = sampleUpdate({ vms, mountPoint: hostile, ...facts })
  const page = pageOf(last, [last], hostile)
  const shown = `<script>alert('1')</script>&"\\u0000\\u001b[31m\ufffd`
  assert.equal(textIn(elementsIn(page, 'h1')[0]!), `Live updates of ${shown}`)
  assert.equal(elementsIn(page, 'script').length, 0)
  const names = elementsIn(page, 'bdi').map(textIn)
  assert.ok(names.length > 5 && names.every((name) => name === shown), JSON.stringify(names))
})

test('an update without guests', () => {
  const page = pageOf(sampleUpdate({ vms: [] }))
  assert.match(sectionOf(page, 'Guests'), /No guest took part/)
  assert.equal(headings(page).includes('Guests with problems'), false)
})

test('an update that failed half way: no kernel after, and guests of each kind', () => {
  const vms = [
    sampleGuest({ outcome: 'rolled-back', problem: null, phases: [], blackoutUs: null }),
    sampleGuest({ name: 'b', outcome: 'stranded', problem: 'QEMU hangs', blackoutUs: null, qemuAfter: null }),
  ]
  const kernel = { before: '6.12', after: null, wanted: '7.3', via: 'kexec', clockUncertaintyUs: 0 } as const
  const page = pageOf(sampleUpdate({ vms, kernel }))
  assert.match(sectionOf(page, 'Totals'), /Kernel 6\.12, which 7\.3 did not replace/)
  assert.match(sectionOf(page, 'Totals'), /Blackout none is known/)
  assert.match(
    sectionOf(page, 'Guests with problems'),
    /b ✗ stranded .* web ! rolled-back .*none was recorded/,
  )
  assert.equal(ofClass(page, 'jump-line').length, 0)
})

test('times that run backwards, or are no time, are named, and the bars stay on the axis', () => {
  const backwards = sampleGuest({
    name: 'back',
    phases: [
      { phase: 'save', startUs: 900_000, durationUs: 100_000 },
      { phase: 'jump', startUs: 400_000, durationUs: -300_000 },
      { phase: 'load', startUs: -9e15, durationUs: 5 },
      { phase: 'continue', startUs: 1e300, durationUs: Number.POSITIVE_INFINITY },
    ],
    blackoutUs: -5_000,
  })
  const page = pageOf(
    sampleUpdate({ vms: [backwards, sampleGuest()], durationUs: -2_000_000, startedAtMs: 9e15 }),
  )
  const exact = sectionOf(page, 'How exact the times are')
  assert.match(exact, /The update ends 2\.00 s before it begins/)
  assert.match(exact, /Of 1 guest a time is missing, or a phase begins before .* \(back\)/)
  assert.match(sectionOf(page, 'Totals'), /Began at an unknown time/)
})

test('a guest that was saved long before is cut off at the beginning of the axis', () => {
  const vms = [sampleGuest({ phases: [{ phase: 'wait', startUs: -9_000_000, durationUs: 10_000_000 }] })]
  const page = pageOf(sampleUpdate({ vms }))
  const [bar] = ofClass(ofClass(page, 'guests')[0]!, 'bar')
  assert.deepEqual([bar?.attributes.get('style'), textIn(bar!)], ['left:0%;width:20%', '◂8'])
})

test('five hundred guests have a row each, in less than 2 MB', () => {
  const vms = Array.from({ length: 500 }, (_, index) =>
    sampleGuest({ name: `vm${index}`, blackoutUs: index }),
  )
  const last = sampleUpdate({ vms })
  const text = reportPage({ host: 'host1', last, updates: [last] })
  assert.ok(text.length < 2_000_000, `${text.length}`)
  assert.equal(elementsIn(ofClass(pageOf(last), 'guests')[0]!, 'tr').length, 501)
})

test('the updates over time: the last one first, each with its date, outcome and longest blackout', () => {
  const { kernel: _, ...plain } = sampleReport()
  const updates = hostUpdates([
    { ...plain, kind: 'vmm-only', startedAtMs: 0, vms: [sampleGuest({ blackoutUs: 1_025_000 })] },
    sampleReport({
      vms: [sampleGuest(), sampleGuest({ name: 'db', blackoutUs: 4_100_000, outcome: 'saved' })],
    }),
    {
      ...plain,
      kind: 'resume',
      startedAtMs: 1000,
      vms: [sampleGuest({ blackoutUs: null, outcome: 'resumed' })],
    },
  ])
  const page = pageOf(updates[1], updates)
  const [table] = ofClass(page, 'updates')
  const rows = elementsIn(table!, 'tr').slice(1).map(textIn)
  assert.match(rows[0]!, /^1970-01-01 00:00:01 UTC resumption .* ✓ 1 × resumed none is known$/)
  assert.match(
    rows[1]!,
    /^2026-01-02 .* kernel 6\.12\.1 → 7\.3\.4 by kexec ✗ 1 × updated; 1 × saved 4\.10 s$/,
  )
  assert.match(rows[2]!, /^1970-01-01 00:00:00 UTC QEMU alone .* ✓ 1 × updated 1\.02 s$/)
  assert.deepEqual(
    stylesIn(table!).map(({ width }) => width),
    [0, 100, 25],
  )
})
