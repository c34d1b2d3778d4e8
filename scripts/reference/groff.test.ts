import assert from 'node:assert/strict'
import { test } from 'node:test'
import { escapeText, inline, item, literal, manualPage, paragraph, prose, term } from './groff.ts'

test('what a formatter would take for markup, or print as another character, is escaped', () => {
  for (const [text, escaped] of [
    ['--dry-run', '\\-\\-dry\\-run'],
    ['C:\\new', 'C:\\enew'],
    ["'thaw' ends it", '\\(aqthaw\\(aq ends it'],
    ['`a` ^b ~c', '\\(gaa\\(ga \\(hab \\(tic'],
    ['say "x"', 'say \\(dqx\\(dq'],
    ['format 1 → 2 …', 'format 1 \\[u2192] 2 \\[u2026]'],
    ['\u{1f600}', '\\[u1F600]'],
    ['plain words, 50%', 'plain words, 50%'],
  ] as const)
    assert.equal(escapeText(text), escaped)
})

test('no line of text begins with a control character', () => {
  assert.deepEqual(prose('.TH is a macro'), ['\\&.TH is a macro'])
  assert.deepEqual(prose("'br is one as well"), ['\\(aqbr is one as well'])
  assert.deepEqual(literal('.hidden\n  x\\').slice(3, 5), ['\\&.hidden', '  x\\e'])
  assert.deepEqual(item(term('.x'), '.y'), ['.TP', '\\fB.x\\fR', '\\&.y'])
})

test('each sentence is a line, and a dot inside of a name ends none', () => {
  assert.deepEqual(prose(' One\n  sentence. *Two*.'), ['One sentence.', '\\fBTwo\\fR.'])
  assert.deepEqual(paragraph('It reads /a.b. Then 1.5 of it. `Done`. no more.'), [
    '.PP',
    'It reads /a.b.',
    'Then 1.5 of it.',
    '\\fBDone\\fR. no more.',
  ])
})

test('names of pages and what is typed are bold, values are italic', () => {
  assert.equal(inline('see fstab(5) and `-o new`'), 'see \\fBfstab\\fR(5) and \\fB\\-o new\\fR')
  assert.equal(inline('with *size=* it'), 'with \\fBsize=\\fR it')
  assert.equal(inline('see guestmemfs-mount(8)'), 'see \\fBguestmemfs\\-mount\\fR(8)')
  assert.equal(inline('an ` alone (8)'), 'an \\(ga alone (8)')
  assert.equal(term('-y, --yes'), '\\fB\\-y\\fR, \\fB\\-\\-yes\\fR')
  assert.equal(term('--env <name[=value]>'), '\\fB\\-\\-env\\fR \\fIname[=value]\\fR')
  assert.equal(term('[options] <qemu...>'), '[\\fIoptions\\fR] \\fIqemu\\fR...')
})

test('a page has its name as whatis(1) looks for it, and no date', () => {
  const page = manualPage({ name: 'a-b', section: 8, summary: 'do c', version: 'x 1.0', lines: ['.PP', 'd'] })
  const [comment = '', ...lines] = page.split('\n')
  assert.match(comment, /^\.\\" /)
  assert.deepEqual(lines, ['.TH A\\-B 8 "" "x 1.0"', '.nh', '.SH NAME', 'a\\-b \\- do c', '.PP', 'd', ''])
})
