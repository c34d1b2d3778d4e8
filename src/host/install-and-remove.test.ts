/** Tests of installing: what is made is what is removed, and the mount helper understands mount(8). */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { UsageError } from '../values/errors.ts'
import { shellWord, unitWord } from '../values/shell-word.ts'
import { install, uninstall } from './install-and-remove.ts'
import { installFiles, mountHelper } from './install-files.ts'
import { hasLibvirtFiles, LIBVIRT_HOOK, libvirtFiles } from './libvirt-files.ts'

const scratch = mkdtempSync(join(tmpdir(), 'install-'))
after(() => rmSync(scratch, { recursive: true }))
const prefixes = { count: 0 }
function newPrefix(): string {
  prefixes.count += 1
  const prefix = join(scratch, `p${prefixes.count}`)
  mkdirSync(join(prefix, 'etc'), { recursive: true })
  return prefix
}
const FILES = installFiles(['/opt/node', '/opt/cli.js'])
const everything = (prefix: string): string[] => readdirSync(prefix, { recursive: true }).map(String).sort()

test('uninstall leaves exactly what was there before, also after two installs', () => {
  const prefix = newPrefix()
  const before = everything(prefix)
  install(prefix, FILES)
  install(prefix, FILES)
  assert.equal(statSync(join(prefix, 'sbin/mount.guestmemfs')).mode & 0o777, 0o755)
  const { removed, kept } = uninstall(prefix)
  assert.deepEqual([removed.length, kept.length], [FILES.length, 0])
  assert.deepEqual(everything(prefix), before)
  assert.throws(() => uninstall(prefix), UsageError)
})

test("what libvirt's guests need is added, kept apart from others' hooks, and removed when it is not wanted", () => {
  const prefix = newPrefix()
  const theirs = join(prefix, 'etc/libvirt/hooks/qemu')
  mkdirSync(join(prefix, 'etc/libvirt/hooks/qemu.d'), { recursive: true })
  writeFileSync(theirs, "another package's")
  writeFileSync(join(prefix, 'etc/libvirt/hooks/qemu.d/50-theirs'), 'and another')
  const before = everything(prefix)
  install(prefix, FILES)
  assert.equal(hasLibvirtFiles(prefix), false)
  const all = [...FILES, ...libvirtFiles(['/opt/node', '/opt/cli.js'])]
  install(prefix, all)
  assert.equal(hasLibvirtFiles(prefix), true)
  assert.equal(statSync(join(prefix, LIBVIRT_HOOK)).mode & 0o777, 0o755)
  const { removed } = install(prefix, FILES)
  assert.equal(removed.length, all.length - FILES.length)
  assert.equal(hasLibvirtFiles(prefix), false)
  uninstall(prefix)
  assert.deepEqual(everything(prefix), before)
})

test('a file of another program is neither overwritten nor removed', () => {
  const prefix = newPrefix()
  mkdirSync(join(prefix, 'sbin'))
  writeFileSync(join(prefix, 'sbin/mount.guestmemfs'), 'theirs')
  const before = everything(prefix)
  assert.throws(() => install(prefix, FILES), /guestmemfs did not write/)
  assert.deepEqual(everything(prefix), before)
})

test('a file that was changed since is kept', () => {
  const prefix = newPrefix()
  install(prefix, FILES)
  const unit = join(prefix, 'etc/systemd/system/guestmemfs@.service')
  writeFileSync(unit, 'edited')
  assert.deepEqual(uninstall(prefix).kept, [unit])
  assert.ok(existsSync(unit))
})

test('words survive sh and unit files', () => {
  for (const word of ["it's here", '/a b/$HOME', 'plain-1.2', '"quoted" \\']) {
    const { stdout } = spawnSync('sh', ['-c', `printf %s ${shellWord(word)}`], { encoding: 'utf8' })
    assert.equal(stdout, word)
  }
  assert.equal(unitWord('/a b/%i$x"'), '"/a b/%%i$$x\\""')
})

test('the mount helper takes what mount(8) passes, in its order', () => {
  const helper = join(scratch, 'mount.guestmemfs')
  const cli = join(scratch, "it's a cli")
  writeFileSync(cli, 'for word; do printf "<%s>" "$word"; done')
  writeFileSync(helper, mountHelper(['/bin/sh', cli]))
  const call = (...args: string[]) => spawnSync('sh', [helper, ...args], { encoding: 'utf8' })
  assert.equal(
    call('pool', '/mnt/a b', '-v', '-o', 'rw,size=1G').stdout,
    '<mount><pool></mnt/a b><-o><rw,size=1G>',
  )
  assert.equal(call('pool', '/mnt', '-s', '-n', '-v', '-t', 'guestmemfs').stdout, '<mount><pool></mnt>')
  assert.equal(call('pool', '/mnt', '-v', '-o', 'a', '-o', 'b').stdout, '<mount><pool></mnt><-o><a,b>')
  assert.equal(call('pool', '/mnt', '-o', 'rw').stdout, '')
  const fake = call('pool', '/mnt', '-f', '-v')
  assert.deepEqual([fake.status, fake.stdout], [0, ''])
  assert.equal(call('pool').status, 1)
  assert.match(call('pool', '/mnt', '-N', '1').stderr, /namespaces/)
})
