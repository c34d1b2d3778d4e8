/** Several installed versions: which one runs, is current, is removed, and what becomes of a changed file. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { UsageError } from '../values/errors.ts'
import { installProgram, uninstallProgram } from './install-program.ts'
import { smallProgram } from './testing/small-program.ts'
import { LIBRARY, lacksOf, readVersion, sha256Of, versionNames } from './versions/version-folder.ts'

const READS = { image: { oldest: 1, newest: 2 } }

class Machine {
  readonly prefix = realpathSync(mkdtempSync(join(tmpdir(), 'versions-')))
  readonly library = join(this.prefix, LIBRARY)

  constructor(t: TestContext) {
    t.after(() => rmSync(this.prefix, { recursive: true, force: true }))
    mkdirSync(join(this.prefix, 'etc'))
  }

  /** Returns the name of its folder. */
  install(build: string, from = join(this.prefix, 'from', build)): string {
    const program = existsSync(join(from, 'version.json'))
      ? { node: '/bin/sh', root: from, entry: 'dist/cli.js', version: '1.0.0' }
      : smallProgram(from, build)
    return installProgram(this.prefix, program, READS).version
  }

  run(...words: string[]): string[] {
    return spawnSync(join(this.prefix, 'usr/local/bin/guestmemfs'), words, { encoding: 'utf8' })
      .stdout.trim()
      .split(' ')
  }

  /** Runs until the test ends. */
  async start(t: TestContext): Promise<{ end: () => Promise<void> }> {
    const child = spawn(join(this.library, 'current/guestmemfs'), ['wait'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const ended = once(child, 'exit')
    t.after(() => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    return { end: async () => void (child.kill('SIGKILL') && (await ended)) }
  }
}

const everything = (folder: string): string[] => readdirSync(folder, { recursive: true }).map(String).sort()

test('a version runs from a folder of its own, with its packages and its Node', (t) => {
  const machine = new Machine(t)
  const name = machine.install('one')
  const folder = join(machine.library, name)
  assert.match(name, /^1\.0\.0-[0-9a-f]{12}$/)
  assert.deepEqual(machine.run('with', 'words'), [
    'one',
    'package',
    `${folder}/dist/cli.js`,
    `${folder}/bin/node`,
    'with',
    'words',
  ])
  assert.equal(lacksOf(folder), undefined)
  assert.deepEqual(readVersion(folder)?.reads, READS)
  // The installed version needs nothing of the folder it was installed from.
  rmSync(join(machine.prefix, 'from'), { recursive: true })
  assert.equal(machine.run()[0], 'one')
  assert.equal(statSync(join(folder, 'dist/cli.js')).mode & 0o777, 0o644)
})

test('the next version is installed beside it; running processes stay in theirs, which is kept for them', async (t) => {
  const machine = new Machine(t)
  const one = machine.install('one')
  const running = await machine.start(t)
  const [two, three] = [machine.install('two'), machine.install('three')]
  assert.equal(new Set([one, two, three]).size, 3)
  assert.equal(machine.run()[0], 'three')
  assert.deepEqual(
    versionNames(machine.library),
    [one, two, three].sort(),
    'it is neither current nor previous, and runs',
  )
  assert.equal(lacksOf(join(machine.library, one)), undefined)
  await running.end()
  const four = machine.install('four')
  assert.deepEqual(versionNames(machine.library), [three, four].sort())
})

test('installing what is there changes nothing; a former version is made current by itself', (t) => {
  const machine = new Machine(t)
  const one = machine.install('one')
  const before = statSync(join(machine.library, one, 'dist/cli.js')).ino
  assert.equal(machine.install('one'), one)
  assert.equal(statSync(join(machine.library, one, 'dist/cli.js')).ino, before)
  machine.install('two')
  assert.equal(machine.run()[0], 'two')
  assert.equal(machine.install('one', join(machine.library, one)), one)
  assert.equal(machine.run()[0], 'one')
})

test('a version that is not whole any more is left alone, and another one is put beside it', (t) => {
  const machine = new Machine(t)
  const one = machine.install('one')
  const broken = join(machine.library, one)
  for (const harm of [
    () => writeFileSync(join(broken, 'dist/build.js'), 'build=other\n'),
    () => rmSync(join(broken, 'dist/build.js')),
  ]) {
    harm()
    assert.match(lacksOf(broken) ?? '', /^dist\/build\.js/)
    assert.equal(machine.install('one'), `${one}.2`)
    assert.equal(machine.run()[0], 'one')
  }
  const manifest = join(broken, 'version.json')
  writeFileSync(manifest, readFileSync(manifest, 'utf8').replace('"oldest": 1', '"oldest": 0'))
  assert.equal(lacksOf(broken), 'dist/build.js: ENOENT')
  rmSync(manifest)
  assert.match(lacksOf(broken) ?? '', /^version\.json is missing/)
})

test('a package that is not there is a refusal, and nothing is installed', (t) => {
  const machine = new Machine(t)
  const one = machine.install('one')
  const from = join(machine.prefix, 'from/two')
  const program = smallProgram(from, 'two')
  rmSync(join(from, 'node_modules/@two'), { recursive: true })
  assert.throws(() => installProgram(machine.prefix, program, READS), {
    name: 'UsageError',
    message: 'the package @two/two is not there: install guestmemfs anew with npm',
  })
  assert.deepEqual([versionNames(machine.library), machine.run()[0]], [[one], 'one'])
})

test('uninstalling leaves what was there before, and a version that runs until it has ended', async (t) => {
  const machine = new Machine(t)
  smallProgram(join(machine.prefix, 'from/one'), 'one')
  smallProgram(join(machine.prefix, 'from/two'), 'two')
  const before = everything(machine.prefix)
  const one = machine.install('one')
  const running = await machine.start(t)
  machine.install('two')
  const { versions } = uninstallProgram(machine.prefix)
  assert.deepEqual([versions.removed.length, versions.used.map(({ name }) => name)], [1, [one]])
  assert.equal(lacksOf(join(machine.library, one)), undefined)
  assert.throws(() => uninstallProgram(machine.prefix), /is left below .* but .*which process \d+ runs$/)
  await running.end()
  assert.deepEqual(uninstallProgram(machine.prefix).versions.removed, [one])
  assert.throws(() => uninstallProgram(machine.prefix), UsageError)
  for (const folder of ['usr/local/lib', 'usr/local', 'usr'])
    assert.deepEqual(
      everything(join(machine.prefix, folder)).filter((path) => path.includes('guestmemfs')),
      [],
    )
  machine.install('one')
  uninstallProgram(machine.prefix)
  assert.deepEqual(
    everything(machine.prefix).filter((path) => !/^usr(\/local(\/lib)?)?$/.test(path)),
    before,
  )
})

// --- what a former install wrote ---

const UNIT = '/etc/systemd/system/guestmemfs@.service'
const HELPER = '/sbin/mount.guestmemfs'

test('a unit that an operator changed stays, and the new one is beside it until it is taken', (t) => {
  const machine = new Machine(t)
  machine.install('one')
  const unit = join(machine.prefix, UNIT)
  const edited = `${readFileSync(unit, 'utf8')}Nice=5\n`
  writeFileSync(unit, edited)
  const dropIn = join(machine.prefix, `${UNIT}.d/more.conf`)
  mkdirSync(`${unit}.d`)
  writeFileSync(dropIn, '[Service]\nNice=7\n')
  const install = (build: string) =>
    installProgram(machine.prefix, smallProgram(join(machine.prefix, 'from', build), build), READS)
  const beside = `${unit}.guestmemfs-new`
  for (const build of ['two', 'three']) {
    assert.deepEqual(install(build).edited, [{ path: unit, beside }])
    assert.equal(readFileSync(unit, 'utf8'), edited)
    assert.match(readFileSync(beside, 'utf8'), /^# Installed by guestmemfs/)
    assert.equal(statSync(beside).mode & 0o111, 0)
  }
  renameSync(beside, unit)
  assert.deepEqual(install('four').edited, [])
  assert.equal(existsSync(beside), false)
  assert.equal(readFileSync(dropIn, 'utf8'), '[Service]\nNice=7\n')
  assert.deepEqual(uninstallProgram(machine.prefix).kept, [])
  assert.equal(existsSync(dropIn), true)
})

test('files of a version that has other ones are taken away, and those that were changed are kept', (t) => {
  const machine = new Machine(t)
  const text = '# Installed by guestmemfs.\n'
  const former = [
    '/etc/systemd/system/guestmemfs-old.service',
    '/etc/systemd/system/guestmemfs-changed.service',
  ]
  for (const path of [...former, HELPER]) {
    mkdirSync(join(machine.prefix, path, '..'), { recursive: true })
    writeFileSync(join(machine.prefix, path), text)
  }
  const manifest = join(machine.prefix, 'var/lib/guestmemfs/installed.json')
  mkdirSync(join(manifest, '..'), { recursive: true })
  const files = [...former, HELPER].map((path) => ({ path, sha256: sha256Of(text) }))
  writeFileSync(manifest, JSON.stringify({ format: 1, files, folders: [] }))
  writeFileSync(join(machine.prefix, former[1] as string), `${text}more\n`)
  const done = installProgram(machine.prefix, smallProgram(join(machine.prefix, 'from/one'), 'one'), READS)
  assert.deepEqual(done.removed, [join(machine.prefix, former[0] as string)])
  assert.deepEqual(done.edited, [])
  assert.match(readFileSync(join(machine.prefix, HELPER), 'utf8'), /current\/guestmemfs mount/)
  assert.deepEqual(uninstallProgram(machine.prefix).kept, [join(machine.prefix, former[1] as string)])
})

test('a file of guestmemfs whose manifest is lost is known by its contents, and kept', (t) => {
  const machine = new Machine(t)
  machine.install('one')
  rmSync(join(machine.prefix, 'var/lib/guestmemfs/installed.json'))
  assert.equal(machine.install('two').length > 0, true)
  const helper = join(machine.prefix, HELPER)
  writeFileSync(helper, `${readFileSync(helper, 'utf8')}# more\n`)
  rmSync(join(machine.prefix, 'var/lib/guestmemfs/installed.json'))
  const done = installProgram(machine.prefix, smallProgram(join(machine.prefix, 'from/two'), 'two'), READS)
  assert.deepEqual(
    done.edited.map(({ path }) => path),
    [helper],
  )
})

test('a file of another program is a refusal before anything is changed', (t) => {
  const machine = new Machine(t)
  mkdirSync(join(machine.prefix, 'sbin'))
  writeFileSync(join(machine.prefix, HELPER), 'theirs')
  const program = smallProgram(join(machine.prefix, 'from/one'), 'one')
  const before = everything(machine.prefix)
  assert.throws(
    () => installProgram(machine.prefix, program, READS),
    /guestmemfs did not write .*: move it away first/,
  )
  assert.deepEqual(everything(machine.prefix), before)
})
