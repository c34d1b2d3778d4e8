import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { earlyStartUnit } from './early-files.ts'
import { keeperUnit, LOCAL_PLACES, mountHelper, resumeUnit } from './install-files.ts'
import { installProgram } from './install-program.ts'
import { commandIn, readNextBoot } from './next-boot.ts'
import { smallProgram } from './testing/small-program.ts'

function machine(t: TestContext): string {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'next-boot-')))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  for (const folder of ['etc/systemd/system', 'sbin']) mkdirSync(join(root, folder), { recursive: true })
  return root
}

test('what a helper and a unit run is read back, whatever is in its path', () => {
  for (const command of [
    ['/usr/bin/node', '/opt/cli.js'],
    ["/it's a/node", '/b "c"/$HOME/%i/\\x/cli.ts'],
    ['/a/current/guestmemfs'],
  ])
    for (const text of [
      mountHelper(command),
      keeperUnit(command),
      earlyStartUnit(command, LOCAL_PLACES),
      resumeUnit(command),
    ])
      assert.deepEqual(commandIn(text), command, text)
  assert.deepEqual(commandIn('#!/bin/sh\nexec "$@"\n'), [])
  assert.deepEqual(commandIn(''), [])
})

test('an installed version is looked at once, and is what it says', (t) => {
  const root = machine(t)
  assert.deepEqual(readNextBoot(root), { programs: [], lacksHelper: false, numbered: [] })
  const reads = { image: { oldest: 1, newest: 2 } }
  const { version } = installProgram(root, smallProgram(join(root, 'from'), 'one'), reads)
  const place = join(root, 'usr/local/lib/guestmemfs', version)
  const by = '/sbin/mount.guestmemfs'
  assert.deepEqual(readNextBoot(root).programs, [{ by, place, lacks: undefined, reads }])
  writeFileSync(join(place, 'dist/build.js'), 'damaged')
  assert.deepEqual(readNextBoot(root).programs, [
    { by, place, lacks: 'dist/build.js is not what was installed', reads },
  ])
  rmSync(join(root, 'usr/local/lib/guestmemfs/current'))
  const launcher = join(root, 'usr/local/lib/guestmemfs/current/guestmemfs')
  assert.deepEqual(readNextBoot(root).programs, [
    { by, place: launcher, lacks: `${launcher} is missing, or links to a missing file`, reads: undefined },
  ])
})

test('a unit that an operator keeps is judged by the program that it names', (t) => {
  const root = machine(t)
  installProgram(root, smallProgram(join(root, 'from'), 'one'), {})
  const unit = join(root, 'etc/systemd/system/guestmemfs@.service')
  writeFileSync(unit, keeperUnit(['/bin/sh', '/nowhere/cli.js']))
  assert.deepEqual(readNextBoot(root).programs[1], {
    by: '/etc/systemd/system/guestmemfs@.service',
    place: '/nowhere/cli.js',
    lacks: '/nowhere/cli.js is not there',
    reads: undefined,
  })
})

test('the units of the Debian package are found, and those in /etc go before them', (t) => {
  const root = machine(t)
  const vendor = join(root, 'usr/lib/systemd/system')
  mkdirSync(vendor, { recursive: true })
  writeFileSync(join(vendor, 'guestmemfs@.service'), keeperUnit(['/nowhere/package.js']))
  assert.deepEqual(
    readNextBoot(root).programs.map(({ by, place }) => [by, place]),
    [['/usr/lib/systemd/system/guestmemfs@.service', '/nowhere/package.js']],
  )
  writeFileSync(join(root, 'etc/systemd/system/guestmemfs@.service'), keeperUnit(['/nowhere/local.js']))
  assert.deepEqual(
    readNextBoot(root).programs.map(({ place }) => place),
    ['/nowhere/local.js'],
  )
})

test('a line of fstab without a helper', (t) => {
  const root = machine(t)
  const fstab = join(root, 'etc/fstab')
  for (const [line, lacksHelper] of [
    ['guestmemfs /mnt guestmemfs size=1G 0 0', true],
    ['  pool\t/mnt\tfuse.guestmemfs\tdefaults', true],
    ['# pool /mnt guestmemfs size=1G 0 0', false],
    ['/dev/sda1 /guestmemfs ext4 defaults 0 0', false],
  ] as const) {
    writeFileSync(fstab, `proc /proc proc defaults 0 0\n${line}\n`)
    assert.equal(readNextBoot(root).lacksHelper, lacksHelper, line)
  }
  writeFileSync(fstab, 'guestmemfs /mnt guestmemfs size=1G 0 0\n')
  writeFileSync(join(root, 'sbin/mount.guestmemfs'), '')
  assert.equal(readNextBoot(root).lacksHelper, false)
})

test('pools whose region fstab names by its number', (t) => {
  const root = machine(t)
  const lines = [
    'one /mnt/1 guestmemfs store=dax,region=dax0.0,noauto 0 0',
    'two\t/mnt/2\tguestmemfs\tregion=dax1,store=dax',
    'three /mnt/3 guestmemfs store=dax,region=0x100000000 0 0',
    'four /mnt/4 guestmemfs store=dax 0 0',
    '#five /mnt/5 guestmemfs store=dax,region=dax5.0 0 0',
    'six /mnt/6 ext4 region=dax6.0 0 0',
  ]
  writeFileSync(join(root, 'etc/fstab'), `${lines.join('\n')}\n`)
  assert.deepEqual(readNextBoot(root).numbered, [
    { pool: 'one', region: 'dax0.0' },
    { pool: 'two', region: 'dax1' },
  ])
})
