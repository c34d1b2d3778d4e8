/**
 * The package's scripts as dpkg runs them, below a root of their own and with a program that tells its words.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { install } from '../../src/host/install-and-remove.ts'
import { mountHelper } from '../../src/host/install-files.ts'
import { libvirtFiles } from '../../src/host/libvirt-files.ts'
import { sha256Of } from '../../src/host/versions/version-folder.ts'
import { MAINTAINER_SCRIPTS, type MaintainerScript } from './maintainer-scripts.ts'

class Root {
  readonly path = mkdtempSync(join(tmpdir(), 'scripts-'))

  constructor(t: TestContext) {
    t.after(() => rmSync(this.path, { recursive: true, force: true }))
  }

  write(path: string, text: string, mode = 0o644): void {
    mkdirSync(dirname(join(this.path, path)), { recursive: true })
    writeFileSync(join(this.path, path), text)
    chmodSync(join(this.path, path), mode)
  }

  has = (path: string): boolean => existsSync(join(this.path, path))

  run(name: MaintainerScript, ...words: string[]) {
    const script = join(this.path, name)
    writeFileSync(script, MAINTAINER_SCRIPTS[name])
    const env = { ...process.env, DPKG_ROOT: this.path }
    const { status, stdout, stderr } = spawnSync('sh', [script, ...words], { encoding: 'utf8', env })
    rmSync(script)
    return { status, stdout, stderr }
  }
}

const PROGRAM = 'usr/lib/guestmemfs/package/guestmemfs'
const CURRENT = 'usr/lib/guestmemfs/versions/current'
const HELPER = 'usr/sbin/mount.guestmemfs'
const MANIFEST = 'var/lib/guestmemfs/installed.json'

test('the program does the steps; its refusal is the script’s', (t) => {
  const root = new Root(t)
  root.write(PROGRAM, '#!/bin/sh\necho "$@"\n', 0o755)
  const says = (name: MaintainerScript, ...words: string[]) => root.run(name, ...words).stdout
  assert.equal(says('postinst', 'configure', ''), `dpkg configure --root ${root.path}/\n`)
  assert.equal(says('postinst', 'abort-remove'), `dpkg restore --root ${root.path}/\n`)
  assert.equal(says('prerm', 'remove'), `dpkg remove --root ${root.path}/\n`)
  const quiet: readonly (readonly [MaintainerScript, ...string[]])[] = [
    ['prerm', 'upgrade', '2'],
    ['prerm', 'deconfigure'],
    ['postrm', 'upgrade', '2'],
    ['preinst', 'upgrade', '1'],
  ]
  for (const words of quiet) assert.deepEqual(root.run(...words), { status: 0, stdout: '', stderr: '' })
  root.write(PROGRAM, '#!/bin/sh\necho in use >&2\nexit 1\n', 0o755)
  assert.deepEqual(root.run('prerm', 'remove'), { status: 1, stdout: '', stderr: 'in use\n' })
  assert.equal(root.run('postinst', 'configure').status, 1)
})

test('a helper of another program is a refusal, and one that was changed is kept', (t) => {
  const root = new Root(t)
  assert.deepEqual(root.run('preinst', 'install'), { status: 0, stdout: '', stderr: '' })
  root.write(HELPER, 'theirs')
  assert.deepEqual(root.run('preinst', 'install'), {
    status: 1,
    stdout: '',
    stderr: 'guestmemfs did not write /usr/sbin/mount.guestmemfs: move it away first\n',
  })
  const text = mountHelper(['/usr/local/lib/guestmemfs/current/guestmemfs'])
  root.write(HELPER, text)
  root.write(
    MANIFEST,
    JSON.stringify({ files: [{ path: '/sbin/mount.guestmemfs', sha256: sha256Of(text) }] }),
  )
  assert.deepEqual(root.run('preinst', 'install'), { status: 0, stdout: '', stderr: '' })
  assert.equal(root.has(`${HELPER}.guestmemfs-old`), false)
  root.write(HELPER, `${text}# changed\n`)
  assert.match(root.run('preinst', 'install').stdout, /^\/usr\/sbin\/mount\.guestmemfs was changed/)
  assert.equal(readFileSync(join(root.path, `${HELPER}.guestmemfs-old`), 'utf8'), `${text}# changed\n`)
})

test("where libvirt's guests have their hook the package is refused, and nothing is changed", (t) => {
  const root = new Root(t)
  const command = ['/usr/local/lib/guestmemfs/current/guestmemfs']
  root.write('usr/local/lib/guestmemfs/current/guestmemfs', '')
  install(root.path, libvirtFiles(command))
  assert.deepEqual(root.run('preinst', 'install'), {
    status: 1,
    stdout: '',
    stderr: "this package has nothing for libvirt's guests: 'guestmemfs install --no-libvirt' first\n",
  })
  assert.equal(root.has('usr/lib/guestmemfs'), false)
  install(root.path, [])
  assert.deepEqual(root.run('preinst', 'install'), { status: 0, stdout: '', stderr: '' })
})

test('until it is configured the package runs what install had installed, and leaves no trace if it fails', (t) => {
  const root = new Root(t)
  assert.equal(root.run('preinst', 'install').status, 0)
  assert.equal(root.has('usr/lib/guestmemfs'), false)
  root.write('usr/local/lib/guestmemfs/current/guestmemfs', '')
  assert.equal(root.run('preinst', 'install').status, 0)
  assert.equal(readlinkSync(join(root.path, CURRENT)), '/usr/local/lib/guestmemfs/current')
  assert.deepEqual(root.run('postrm', 'abort-install'), { status: 0, stdout: '', stderr: '' })
  assert.equal(root.has('usr/lib/guestmemfs'), false)
  // A version of the package's own is no trace.
  root.write('usr/lib/guestmemfs/versions/1/guestmemfs', '')
  assert.equal(root.run('postrm', 'abort-install').status, 0)
  assert.equal(root.has('usr/lib/guestmemfs/versions/1/guestmemfs'), true)
})

test('a purge removes what the program has written, and nothing else', (t) => {
  const root = new Root(t)
  const ours = [
    'usr/lib/guestmemfs/versions/1/bin/node',
    'var/cache/guestmemfs/compiled/x',
    'var/lib/guestmemfs/reports/1.json',
    'run/guestmemfs/watcher.lock',
  ]
  for (const path of [...ours, 'etc/fstab', 'var/lib/other/x']) root.write(path, '')
  assert.deepEqual(root.run('postrm', 'remove'), { status: 0, stdout: '', stderr: '' })
  for (const path of ours) assert.equal(root.has(path), true, path)
  assert.deepEqual(root.run('postrm', 'purge'), { status: 0, stdout: '', stderr: '' })
  for (const path of ours) assert.equal(root.has(dirname(path)), false, path)
  for (const path of ['var/lib/guestmemfs', 'run/guestmemfs']) assert.equal(root.has(path), false, path)
  for (const path of ['etc/fstab', 'var/lib/other/x']) assert.equal(root.has(path), true, path)
  assert.deepEqual(root.run('postrm', 'purge'), { status: 0, stdout: '', stderr: '' })
})

test('a purge leaves what another guestmemfs uses: a file of an operator, records of pools, an installation', (t) => {
  const root = new Root(t)
  root.write('var/lib/guestmemfs/notes', '')
  root.write('run/guestmemfs/pools/web.json', '{}')
  assert.equal(root.run('postrm', 'purge').status, 0)
  assert.deepEqual(
    [root.has('var/lib/guestmemfs/notes'), root.has('run/guestmemfs/pools/web.json')],
    [true, true],
  )
  root.write('var/lib/guestmemfs/reports/1.json', '')
  root.write('usr/local/lib/guestmemfs/current/guestmemfs', '')
  assert.equal(root.run('postrm', 'purge').status, 0)
  assert.equal(root.has('var/lib/guestmemfs/reports/1.json'), true)
})
