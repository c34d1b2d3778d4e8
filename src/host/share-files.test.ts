/** Manual pages and completions that are installed: where, by whom, and what npm has linked there already. */
import assert from 'node:assert/strict'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { PACKAGE_PLACES } from './install-files.ts'
import { installProgram, uninstallProgram } from './install-program.ts'
import { shareFiles } from './share-files.ts'
import { smallProgram } from './testing/small-program.ts'
import { thisProgram } from './this-program.ts'

const PAGE = 'share/man/man8/guestmemfs.8'

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

function machine(t: TestContext): { prefix: string; program: ReturnType<typeof smallProgram> } {
  const prefix = mkdtempSync(join(tmpdir(), 'share-'))
  t.after(() => rmSync(prefix, { recursive: true, force: true }))
  const program = smallProgram(join(prefix, 'from'), 'one')
  write(join(program.root, PAGE), "Made by 'npm run reference': one\n")
  write(join(program.root, 'share/completion/guestmemfs.bash'), 'complete\n')
  return { prefix, program }
}

test('this program’s pages and completions go where man(1) and shells look', () => {
  const paths = shareFiles(thisProgram().root).map(({ path }) => path)
  for (const path of [
    '/usr/local/share/man/man8/guestmemfs.8',
    '/usr/local/share/man/man8/mount.guestmemfs.8',
    '/usr/local/share/man/man7/guestmemfs.xattr.7',
    '/usr/local/share/bash-completion/completions/guestmemfs',
    '/usr/local/share/zsh/site-functions/_guestmemfs',
    '/usr/local/share/fish/vendor_completions.d/guestmemfs.fish',
  ])
    assert.ok(paths.includes(path), path)
  const packaged = shareFiles(thisProgram().root, PACKAGE_PLACES)
  assert.equal(packaged.length, paths.length)
  assert.ok(packaged.some(({ path }) => path === '/usr/share/zsh/vendor-completions/_guestmemfs'))
})

test('they are installed with a version, by it again, and removed', (t) => {
  const { prefix, program } = machine(t)
  const page = join(prefix, 'usr/local', PAGE)
  const { version } = installProgram(prefix, program, {})
  assert.equal(readFileSync(page, 'utf8'), "Made by 'npm run reference': one\n")
  const next = smallProgram(join(prefix, 'next'), 'two')
  const { removed } = installProgram(prefix, next, {})
  assert.ok(removed.includes(page), 'a version that has none takes it away')
  installProgram(prefix, { ...program, root: join(prefix, 'usr/local/lib/guestmemfs', version) }, {})
  assert.ok(existsSync(page))
  uninstallProgram(prefix)
  assert.equal(existsSync(page), false)
})

test('a link of npm’s is left to npm, and another program’s is a refusal', (t) => {
  const { prefix, program } = machine(t)
  const npms = join(prefix, 'lib/node_modules/guestmemfs')
  write(join(npms, PAGE), "npm's\n")
  const [page, command] = [join(prefix, 'usr/local', PAGE), join(prefix, 'usr/local/bin/guestmemfs')]
  for (const path of [page, command]) {
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(join(npms, PAGE), path)
  }
  assert.deepEqual([...installProgram(prefix, program, {}).linked].sort(), [command, page].sort())
  uninstallProgram(prefix)
  for (const path of [page, command]) assert.ok(lstatSync(path).isSymbolicLink(), path)
  rmSync(page)
  symlinkSync(join(prefix, 'from/package.json'), page)
  assert.throws(() => installProgram(prefix, program, {}), /guestmemfs did not write/)
})

test('without a manifest a page of another version is known as ours, and stays', (t) => {
  const { prefix, program } = machine(t)
  const page = join(prefix, 'usr/local', PAGE)
  write(page, "Made by 'npm run reference': other\n")
  assert.deepEqual(
    installProgram(prefix, program, {}).edited.map(({ path }) => path),
    [page],
  )
})
