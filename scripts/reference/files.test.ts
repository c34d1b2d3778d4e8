/** Tests that what is committed is what is made, and that all of it has every option of the help. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { loadModules, makeProgram } from '../../src/cli/program.ts'
import { OWN_OPTIONS } from '../../src/pool/mount-options.ts'
import { FLAG_WORDS } from '../../src/pool/vfs-options.ts'
import { describeProgram } from './described.ts'
import { COMPLETIONS, filesThere, referenceFiles } from './files.ts'

const PROJECT = join(import.meta.dirname, '../..')
const committed = (path: string) => readFileSync(join(PROJECT, path), 'utf8')
const manualPaths = () => filesThere(PROJECT).filter((path) => path.startsWith('share/man/'))

/** The options that `--help` shows, each with its dashes, by command; '' is the program. */
async function optionsOfHelp(): Promise<Map<string, string[]>> {
  const program = makeProgram(await loadModules('help'), {}, () => {})
  const visible = program.createHelp().visibleCommands(program)
  const flagsIn = (help: string) =>
    [...help.matchAll(/^ {2}(-\S.*?)(?: {2}|$)/gm)].flatMap(
      ([, term = '']) => term.match(/(?<=^|, )--?[\w-]+/g) ?? [],
    )
  return new Map([
    ['', flagsIn(program.helpInformation())],
    ...visible.map((command) => [command.name(), flagsIn(command.helpInformation())] as const),
  ])
}

test('each file is committed as it is made, and no other one is there: else npm run reference', async () => {
  const files = await referenceFiles()
  assert.deepEqual(filesThere(PROJECT).sort(), [...files.keys()].sort())
  for (const [path, text] of files) assert.equal(committed(path), text, path)
})

test('npm installs the manual pages that there are', () => {
  const { man, files } = JSON.parse(committed('package.json')) as { man: string[]; files: string[] }
  assert.deepEqual([...man].sort(), manualPaths().sort())
  assert.ok(files.includes('share'))
})

test('every option of the help is in its page, in the document and in each completion', async () => {
  const { commands } = await describeProgram()
  const help = await optionsOfHelp()
  assert.ok((help.get('live-update') ?? []).includes('--kernel'), 'the help is read')
  assert.ok((help.get('') ?? []).includes('-V'))
  const parts = (text: string, at: RegExp) =>
    new Map([...text.matchAll(at)].map(([, name = '', part = '']) => [name, part]))
  const sections = parts(
    `${committed('docs/reference/commands.md')}\n##`,
    /^### guestmemfs (\S+)\n(.*?)(?=^##)/gms,
  )
  const bash = parts(committed(COMPLETIONS.bash), /^ {4}([\w-]+)(?: \| [\w-]+)*\) options='(.*)' ;;$/gm)
  const zsh = parts(committed(COMPLETIONS.zsh), /^ {4}([\w-]+)(?:\|[\w-]+)*\)\n(.*?)^ {6};;$/gms)
  const fishLines = committed(COMPLETIONS.fish).split('\n')
  const page = (name: string) => committed(`share/man/man8/guestmemfs${name}.8`).replaceAll('\\-', '-')
  for (const { name, hasPage } of commands)
    for (const flag of help.get(name) ?? []) {
      const what = `${name} ${flag}`
      // The pages of the others are a line of guestmemfs(8), which says that all have `--help`.
      if (hasPage) assert.ok(page(`-${name}`).includes(`\\fB${flag}\\fR`), `manual: ${what}`)
      assert.match(sections.get(name) ?? '', new RegExp(`^- \`(?:.*, )?${flag}\\b`, 'm'), `document: ${what}`)
      assert.ok((bash.get(name) ?? '').split(' ').includes(flag), `bash: ${what}`)
      assert.match(
        zsh.get(name) ?? '',
        new RegExp(`^ +'(?:\\([^)]*\\))?\\*?${flag}[+=]?\\[`, 'm'),
        `zsh: ${what}`,
      )
      const letter = flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`
      const own = fishLines.filter((line) => line.includes(`'__guestmemfs_in ${name}`))
      assert.ok(
        own.some((line) => `${line} `.includes(` ${letter} `)),
        `fish: ${what}`,
      )
    }
  for (const flag of help.get('') ?? []) {
    assert.ok(page('').includes(`\\fB${flag}\\fR`), flag)
    for (const path of Object.values(COMPLETIONS))
      assert.ok(
        committed(path).includes(path.endsWith('.fish') ? ` ${flag.replace(/^--?/, '')} ` : flag),
        flag,
      )
  }
})

test('the lines of every page are text or known macros, and have known escapes and ASCII alone', () => {
  const macro = /^\.(?:\\"|(?:TH|SH|SS|PP|TP|IP|RS|RE|nf|fi|nh)(?: |$))/
  const pages = manualPaths()
  assert.ok(pages.length > 20)
  for (const path of pages)
    for (const [index, line] of committed(path).split('\n').entries()) {
      const where = `${path}:${index + 1}: ${line}`
      assert.doesNotMatch(line, /^'|[^\x20-\x7e]/, where)
      if (line.startsWith('.')) assert.match(line, macro, where)
      if (!line.startsWith('.\\"'))
        assert.doesNotMatch(line, /\\(?!e|-|&|f[BIR]|\((?:aq|ga|ha|ti|dq)|\[u[0-9A-F]{4,6}\])/, where)
      const text = line.startsWith('.') ? '' : line.replace(/\\\[u\w+\]|\\./g, '')
      assert.doesNotMatch(text, /[-^~`"']/, where)
    }
})

test('pages that are referred to are there: those of guestmemfs, and those of docs/', () => {
  const pages = manualPaths().map((path) => path.replace(/.*\/(.*)\.(\d)$/, '$1($2)'))
  for (const path of manualPaths()) {
    const text = committed(path)
      .replaceAll('\\-', '-')
      .replaceAll(/\\f[BIR]/g, '')
    for (const [name] of text.matchAll(/\b(?:mount\.)?guestmemfs[\w.-]*\(\d\)/g))
      assert.ok(pages.includes(name), `${path}: ${name}`)
    for (const [name] of text.matchAll(/\bdocs\/[\w/-]+\.md/g))
      assert.ok(existsSync(join(PROJECT, name)), `${path}: ${name}`)
    if (path.endsWith('/guestmemfs.8')) assert.match(text, /\bdocs\/[\w/-]+\.md/, 'pages of docs/ are named')
  }
})

test('the page and the document of mount(8) have every option of guestmemfs, and every flag', () => {
  const page = committed('share/man/man8/mount.guestmemfs.8')
    .replaceAll('\\-', '-')
    .replaceAll(/\\f[BIR]/g, '')
  const words = new Set(page.split('\n').flatMap((line) => line.split(', ')))
  const document = new Set(
    committed('docs/reference/mount-options.md')
      .match(/(?<=^- `)[^`]*/gm)
      ?.flatMap((line) => line.split(', ')),
  )
  for (const option of [...OWN_OPTIONS, ...FLAG_WORDS]) {
    assert.ok(words.has(option), option)
    assert.ok(document.has(option), `document: ${option}`)
  }
})

test('a page of docs/reference that was written by hand is no file that is made', () => {
  assert.ok(existsSync(join(PROJECT, 'docs/reference/host.md')))
  assert.ok(!filesThere(PROJECT).includes('docs/reference/host.md'))
})

/** Syntax alone: no such shell runs the functions here. */
function checkSyntax(shell: string, path: string, t: TestContext): void {
  const { error, status, stderr } = spawnSync(shell, ['-n', join(PROJECT, path)], { encoding: 'utf8' })
  if (error) t.skip(`there is no ${shell}`)
  else assert.equal(status, 0, stderr)
}

for (const [shell, path] of Object.entries(COMPLETIONS))
  test(`${shell} reads its completion`, (t) => checkSyntax(shell, path, t))
