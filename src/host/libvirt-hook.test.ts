import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { EMULATOR, type LibvirtPaths } from '../values/libvirt-paths.ts'
import { emulatorScript, libvirtHook } from './libvirt-hook.ts'

const UUID = 'c7a5fdbd-edaf-9455-926a-d65c16db1809'
/** As setpriv(1) but for the credentials. */
const SETPRIV = '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift; exec "$@"\n'
/** As in a carve-out: a file that gets a size is a symlink to a device from then on. */
const TRUNCATE = '#!/bin/sh\nrm "$3"; ln -s "/dev/guestmemfs/size-$2" "$3"\n'

class Host {
  readonly root: string
  readonly paths: LibvirtPaths

  constructor(t: TestContext) {
    this.root = realpathSync(mkdtempSync(join(tmpdir(), 'libvirt-hook-')))
    t.after(() => rmSync(this.root, { recursive: true }))
    const at = (name: string): string => join(this.root, name)
    this.paths = {
      qemuConf: at('qemu.conf'),
      records: at('records'),
      starts: at('starts'),
      fstab: at('fstab'),
      mounts: at('mounts'),
    }
    for (const name of ['records', 'starts', 'bin', 'pool/libvirt/qemu', 'pool/saved']) this.folder(name)
    this.write('qemu.conf', `#memory_backing_dir = "/elsewhere"\nmemory_backing_dir = "${at('pool')}"\n`)
    this.write('mounts', `guestmemfs ${at('pool')} fuse.guestmemfs rw 0 0\n`)
    this.write('fstab', `guestmemfs ${at('pool')} guestmemfs nofail 0 0\n`)
    this.write('bin/setpriv', SETPRIV, 0o755)
    this.write('bin/logger', `#!/bin/sh\necho "$@" >>'${at('logged')}'\n`, 0o755)
    this.write('hook', libvirtHook(this.paths), 0o755)
  }

  folder(name: string): string {
    const path = join(this.root, name)
    mkdirSync(path, { recursive: true })
    return path
  }

  write(name: string, text: string, mode = 0o644): void {
    writeFileSync(join(this.root, name), text)
    chmodSync(join(this.root, name), mode)
  }

  list = (name: string): string[] => readdirSync(join(this.root, name)).sort()

  /** Of a domain that is saved. */
  save(): void {
    this.write('pool/saved/pc.ram', 'the guest')
    this.write('pool/saved/guestmemfs-state', 'its devices')
    symlinkSync(join(this.root, 'pool/saved'), join(this.root, 'records', UUID))
    this.write(`records/${UUID}.json`, '{}')
  }

  call(xml: string, ...words: readonly string[]): { status: number | null; said: string } {
    const [name = 'web', operation = 'start', suboperation = 'begin'] = words
    const { status, stderr } = spawnSync(join(this.root, 'hook'), [name, operation, suboperation, '-'], {
      input: xml,
      encoding: 'utf8',
      env: { PATH: `${join(this.root, 'bin')}:${process.env.PATH}` },
    })
    return { status, said: stderr }
  }
}

interface DomainChoice {
  readonly kib?: number
  readonly emulator?: string
  readonly more?: string
}

/** As libvirt formats a domain that it starts. */
const domain = ({ kib = 262144, emulator = '/usr/bin/qemu-system-x86_64', more = '' }: DomainChoice = {}) =>
  `<domain type='kvm' id='7' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>web</name>
  <uuid>${UUID}</uuid>
  <memory unit='KiB'>${kib}</memory>
  <currentMemory unit='KiB'>${kib}</currentMemory>
  <memoryBacking>
    <source type='file'/>
    <access mode='shared'/>
  </memoryBacking>
  <os>
    <type arch='x86_64' machine='pc-q35-10.0'>hvm</type>
  </os>
  <devices>
    <emulator>${emulator}</emulator>
${more}  </devices>
</domain>
`
const WAITING = `    <x>\n  <qemu:commandline>
    <qemu:arg value='-incoming'/>
    <qemu:arg value='defer'/>
  </qemu:commandline>\n`

test('an ordinary start in a pool begins with an empty folder, whatever a former kernel left there', (t) => {
  const host = new Host(t)
  host.folder('pool/libvirt/qemu/7-web')
  host.write('pool/libvirt/qemu/7-web/pc.ram', 'of another guest')
  host.folder('pool/libvirt/qemu/17-web')
  host.write('pool/libvirt/qemu/17-web/pc.ram', 'of a guest that runs')
  assert.deepEqual(host.call(domain()), { status: 0, said: '' })
  assert.deepEqual(host.list('pool/libvirt/qemu/7-web'), [])
  assert.deepEqual(host.list('pool/libvirt/qemu/17-web'), ['pc.ram'])
})

test('it does nothing at any other moment, and nothing to a domain without RAM in files', (t) => {
  const host = new Host(t)
  host.save()
  host.folder('pool/libvirt/qemu/7-web')
  host.write('pool/libvirt/qemu/7-web/pc.ram', 'kept')
  for (const [operation, suboperation] of [
    ['prepare', 'begin'],
    ['started', 'begin'],
    ['stopped', 'end'],
    ['release', 'end'],
    ['reconnect', 'begin'],
    ['migrate', 'begin'],
    ['restore', 'begin'],
  ] as const)
    assert.deepEqual(host.call(domain(), 'web', operation, suboperation), { status: 0, said: '' })
  assert.deepEqual(host.list('pool/libvirt/qemu/7-web'), ['pc.ram'])
  rmSync(join(host.root, 'records', UUID))
  rmSync(join(host.root, 'pool/libvirt/qemu/7-web'), { recursive: true })
  assert.deepEqual(host.call(domain()), { status: 0, said: '' })
})

test('nobody else starts a domain whose guest is saved, also before its pool is mounted', (t) => {
  const host = new Host(t)
  host.save()
  host.folder('pool/libvirt/qemu/7-web')
  const saved =
    /^guestmemfs: domain web: its guest is saved by a live update: 'guestmemfs resume --name web' /
  const refused = (xml: string, pattern: RegExp): void => {
    const { status, said } = host.call(xml)
    assert.equal(status, 1)
    assert.match(said, pattern)
    assert.deepEqual(host.list('pool/libvirt/qemu/7-web'), [])
    assert.ok(lstatSync(join(host.root, 'records', UUID)).isSymbolicLink())
  }
  refused(domain(), saved)
  // Another start of it, while guestmemfs starts it.
  host.write(`starts/${UUID}`, '')
  refused(domain(), saved)
  // A copy of its XML, while nothing of guestmemfs starts it.
  rmSync(join(host.root, 'starts', UUID))
  refused(domain({ more: WAITING }), saved)
  host.write('mounts', 'proc /proc proc rw 0 0\n')
  rmSync(join(host.root, 'pool/saved'), { recursive: true })
  refused(domain(), /no pool is mounted there: mount it first$/m)
})

test('the start by guestmemfs gets RAM and state of the saved guest, and nothing else', (t) => {
  const host = new Host(t)
  host.save()
  host.write(`starts/${UUID}`, '')
  host.folder('pool/libvirt/qemu/7-web')
  host.write('pool/libvirt/qemu/7-web/dimm0', 'of another guest')
  assert.deepEqual(host.call(domain({ more: WAITING })), { status: 0, said: '' })
  assert.deepEqual(host.list('pool/libvirt/qemu/7-web'), ['guestmemfs-state', 'pc.ram'])
  const inode = (name: string): number => statSync(join(host.root, name)).ino
  assert.equal(inode('pool/libvirt/qemu/7-web/pc.ram'), inode('pool/saved/pc.ram'))
})

test('RAM that ended with its pool, as in a power cut, is no reason to refuse a start; its record is kept', (t) => {
  const host = new Host(t)
  host.save()
  rmSync(join(host.root, 'pool/saved'), { recursive: true })
  host.folder('pool/libvirt/qemu/7-web')
  assert.deepEqual(host.call(domain()), { status: 0, said: '' })
  // Where another pool is mounted there it is whole in the one that was.
  assert.deepEqual(host.list('records'), [`${UUID}.json.lost`])
  assert.match(readFileSync(join(host.root, 'logged'), 'utf8'), /-t guestmemfs domain web starts anew: /)
  // And once more, in place of the former one; a hook that was killed in between has left the symlink alone.
  host.write(`records/${UUID}.json`, '{"the": "second"}')
  for (let start = 1; start <= 2; start++) {
    symlinkSync(join(host.root, 'pool/saved'), join(host.root, 'records', UUID))
    assert.deepEqual(host.call(domain()), { status: 0, said: '' })
    assert.deepEqual(host.list('records'), [`${UUID}.json.lost`])
  }
  assert.match(readFileSync(join(host.root, `records/${UUID}.json.lost`), 'utf8'), /second/)
})

test('a record that cannot be put aside keeps its domain from being started', (t) => {
  const host = new Host(t)
  host.save()
  rmSync(join(host.root, 'pool/saved'), { recursive: true })
  host.write('bin/mv', '#!/bin/sh\nexit 1\n', 0o755)
  const { status, said } = host.call(domain())
  assert.equal(status, 1)
  assert.match(said, /its record cannot be put aside: is the disk full or read-only\?$/m)
  assert.ok(lstatSync(join(host.root, 'records', UUID)).isSymbolicLink())
})

test('a long name is cut as libvirt cuts it, and a folder that is a symlink is none', (t) => {
  const host = new Host(t)
  const name = 'a-name-of-more-than-twenty-characters'
  host.folder(`pool/libvirt/qemu/7-${name.slice(0, 20)}`)
  host.write(`pool/libvirt/qemu/7-${name.slice(0, 20)}/pc.ram`, '')
  assert.equal(host.call(domain(), name).status, 0)
  assert.deepEqual(host.list(`pool/libvirt/qemu/7-${name.slice(0, 20)}`), [])
  host.folder('etc')
  host.write('etc/shadow', 'kept')
  symlinkSync(join(host.root, 'etc'), join(host.root, 'pool/libvirt/qemu/7-web'))
  assert.equal(host.call(domain()).status, 0)
  assert.deepEqual(host.list('etc'), ['shadow'])
})

test('no guest gets its RAM on the disk where fstab has a pool that is not mounted', (t) => {
  const host = new Host(t)
  host.folder('pool/libvirt/qemu/7-web')
  host.write('mounts', '')
  const { status, said } = host.call(domain())
  assert.equal(status, 1)
  assert.match(said, /its RAM would be on the disk: mount .*\/pool first$/m)
  host.write('fstab', '')
  assert.deepEqual(host.call(domain()), { status: 0, said: '' })
})

test('in a carve-out the RAM file is made before QEMU, for a domain that can have it', (t) => {
  const host = new Host(t)
  host.write('bin/truncate', TRUNCATE, 0o755)
  host.folder('pool/libvirt/qemu/7-web')
  assert.deepEqual(host.call(domain({ emulator: EMULATOR })), { status: 0, said: '' })
  const ram = lstatSync(join(host.root, 'pool/libvirt/qemu/7-web/pc.ram'))
  assert.ok(ram.isSymbolicLink())
  for (const [choice, pattern] of [
    [{}, /it needs <emulator>/],
    [{ emulator: EMULATOR, kib: 262145 }, /whole 2 MiB/],
    [{ emulator: EMULATOR, more: "    <memory model='dimm'>\n" }, /no memory devices/],
  ] as const) {
    const { status, said } = host.call(domain(choice))
    assert.equal(status, 1)
    assert.match(said, pattern)
  }
})

test('the emulator aligns RAM in a file of libvirt, and passes everything else as it is', (t) => {
  const host = new Host(t)
  const path = join(host.root, 'emulator')
  const script = emulatorScript.replace('exec /usr/bin/qemu-system-x86_64', "exec printf '%s\\n'")
  writeFileSync(path, script, { mode: 0o755 })
  const ram =
    '{"qom-type":"memory-backend-file","id":"pc.ram","mem-path":"/mnt/p/libvirt/qemu/7-a b/pc.ram","size":1}'
  const huge =
    '{"qom-type":"memory-backend-file","id":"pc.ram","mem-path":"/dev/hugepages/libvirt/qemu/7-web","size":1}'
  const aligned = ram.replace('"id"', '"align":1073741824,"id"')
  const words = ['-object', ram, '-object', huge, '-object', aligned, '', "it's *", '-name', 'guest=a,b']
  const { stdout } = spawnSync(path, words, { encoding: 'utf8' })
  const expected = [...words]
  expected[1] = ram.replace('"size":1}', '"size":1,"align":2097152}')
  assert.deepEqual(stdout.split('\n').slice(0, -1), expected)
})
