/**
 * The versions of the Debian package: which is current, which stay for a process, and what `install` had
 * written.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { installProgram, removeLeftVersions, uninstallProgram } from './install-program.ts'
import { installPackaged, removeFormerPackaged, removeInstalled, removePackaged } from './packaged-program.ts'
import { smallProgram } from './testing/small-program.ts'
import {
  LIBRARY,
  lacksOf,
  PACKAGE_LIBRARY,
  PACKAGE_PROGRAM,
  versionNames,
} from './versions/version-folder.ts'

class Machine {
  readonly root = realpathSync(mkdtempSync(join(tmpdir(), 'packaged-')))
  readonly versions = join(this.root, PACKAGE_LIBRARY)

  constructor(t: TestContext) {
    t.after(() => rmSync(this.root, { recursive: true, force: true }))
  }

  /** As dpkg unpacks it over the former one, and its script then installs it. */
  upgrade(build: string) {
    rmSync(join(this.root, PACKAGE_PROGRAM), { recursive: true, force: true })
    const program = smallProgram(join(this.root, PACKAGE_PROGRAM), build)
    return installPackaged(this.root, program, { image: { oldest: 1, newest: 2 } })
  }

  get current(): string {
    return readlinkSync(join(this.versions, 'current'))
  }
}

/** A process that runs from `library`'s current version until it is ended. */
async function start(t: TestContext, library: string): Promise<() => Promise<void>> {
  const child = spawn(join(library, 'current/guestmemfs'), ['wait'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return async () => void (child.kill('SIGKILL') && (await ended))
}

test('an upgrade leaves a version that a process runs whole, and removes it when that has ended', async (t) => {
  const machine = new Machine(t)
  const one = machine.upgrade('one')
  assert.deepEqual([one.former, machine.current], [undefined, one.name])
  const end = await start(t, machine.versions)
  const two = machine.upgrade('two')
  assert.deepEqual([two.former, machine.current], [one.name, two.name])
  assert.deepEqual(
    removeFormerPackaged(machine.root).used.map(({ name }) => name),
    [one.name],
  )
  assert.equal(lacksOf(one.folder), undefined, 'dpkg has replaced what it was made from')
  await end()
  assert.deepEqual(removeFormerPackaged(machine.root).removed, [one.name])
  assert.deepEqual([versionNames(machine.versions), machine.current], [[two.name], two.name])
})

test('the same package again changes nothing', (t) => {
  const machine = new Machine(t)
  const one = machine.upgrade('one')
  const inode = statSync(join(one.folder, 'dist/cli.js')).ino
  assert.deepEqual(machine.upgrade('one'), { ...one, former: one.name })
  assert.equal(statSync(join(one.folder, 'dist/cli.js')).ino, inode)
  assert.equal(existsSync(join(machine.versions, 'previous')), false)
})

test('a package that lacks a file is refused, and the former version is current', (t) => {
  const machine = new Machine(t)
  const one = machine.upgrade('one')
  const program = smallProgram(join(machine.root, 'broken'), 'two')
  rmSync(join(machine.root, 'broken/node_modules/@two'), { recursive: true })
  assert.throws(() => installPackaged(machine.root, program, {}), { name: 'UsageError' })
  assert.equal(machine.current, one.name)
})

test('an error of the disk is one line, and what is current stays', (t) => {
  const machine = new Machine(t)
  const one = machine.upgrade('one')
  const unreadable = smallProgram(join(machine.root, 'next'), 'two')
  rmSync(join(machine.root, 'next/dist/cli.js'))
  symlinkSync('cli.js', join(machine.root, 'next/dist/cli.js'))
  assert.throws(() => installPackaged(machine.root, unreadable, {}), {
    name: 'UsageError',
    message: /^[^\n]+: ELOOP: what is installed works as before; resolve that and install again$/,
  })
  assert.deepEqual([machine.current, lacksOf(one.folder)], [one.name, undefined])
})

test('removing is refused while a process runs a version, and then leaves nothing', async (t) => {
  const machine = new Machine(t)
  const one = machine.upgrade('one')
  const end = await start(t, machine.versions)
  machine.upgrade('two')
  const before = versionNames(machine.versions)
  await assert.rejects(
    removePackaged(machine.root),
    /^UsageError: process \d+ runs guestmemfs: end it first$/,
  )
  assert.deepEqual([versionNames(machine.versions), lacksOf(one.folder)], [before, undefined])
  await end()
  await removePackaged(machine.root)
  assert.equal(existsSync(machine.versions), false)
  await removePackaged(machine.root)
})

test('what install wrote is removed, its versions when no process runs them', async (t) => {
  const machine = new Machine(t)
  const library = join(machine.root, LIBRARY)
  installProgram(machine.root, smallProgram(join(machine.root, 'from'), 'local'), {})
  const end = await start(t, library)
  // The package's first script, so that its helpers run something meanwhile.
  mkdirSync(machine.versions, { recursive: true })
  symlinkSync(join(library, 'current'), join(machine.versions, 'current'))

  const one = machine.upgrade('one')
  assert.deepEqual([one.former, machine.current], [undefined, one.name])
  const { edited, uninstalled } = removeInstalled(machine.root)
  assert.deepEqual([edited, uninstalled?.versions.used.length], [[], 1])
  assert.equal(existsSync(join(machine.root, 'etc/systemd/system/guestmemfs@.service')), false)
  assert.equal(removeLeftVersions(machine.root).used.length, 1)
  await end()
  assert.equal(removeLeftVersions(machine.root).removed.length, 1)
  assert.equal(existsSync(library), false)
  assert.deepEqual(removeInstalled(machine.root), { edited: [], uninstalled: undefined })
})

test('a unit that was changed stays with all that it runs; the helpers that dpkg replaced do not count', (t) => {
  const machine = new Machine(t)
  installProgram(machine.root, smallProgram(join(machine.root, 'from'), 'local'), {})
  const unit = join(machine.root, 'etc/systemd/system/guestmemfs@.service')
  writeFileSync(join(machine.root, 'sbin/mount.guestmemfs'), "the package's")
  writeFileSync(unit, 'changed')
  machine.upgrade('one')
  assert.deepEqual(removeInstalled(machine.root), { edited: [unit], uninstalled: undefined })
  assert.ok(existsSync(join(machine.root, LIBRARY, 'current/guestmemfs')))
  rmSync(unit)
  assert.equal(removeInstalled(machine.root).uninstalled?.versions.removed.length, 1)
  assert.equal(existsSync(join(machine.root, 'sbin/mount.guestmemfs')), true, "it is dpkg's")
})

test('install and uninstall are refused where the package is, in one line', (t) => {
  const machine = new Machine(t)
  machine.upgrade('one')
  const program = smallProgram(join(machine.root, 'from'), 'local')
  assert.throws(
    () => installProgram(machine.root, program, {}),
    /^UsageError: .* Debian package here: [^\n]*$/,
  )
  assert.equal(existsSync(join(machine.root, LIBRARY)), false)
  assert.throws(() => uninstallProgram(machine.root), /'apt-get remove guestmemfs'$/)
})
