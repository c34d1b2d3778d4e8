import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readBootMounts } from './boot-mounts.ts'
import { earlyStartUnit } from './early-files.ts'
import { keeperUnit, LOCAL_PLACES, resumeUnit } from './install-files.ts'

function machine(t: TestContext): string {
  const root = mkdtempSync(join(tmpdir(), 'boot-mounts-'))
  t.after(() => rmSync(root, { recursive: true }))
  for (const folder of ['etc/systemd/system', 'usr/lib/systemd/system'])
    mkdirSync(join(root, folder), { recursive: true })
  return root
}

test('lines of fstab mount their pools, but for those that something else has to ask for', (t) => {
  const root = machine(t)
  assert.deepEqual(readBootMounts(root), { pools: [], mountPoints: [] })
  const lines = [
    'one /mnt/1 guestmemfs store=dax,nofail 0 0',
    'two /mnt/2 fuse.guestmemfs defaults',
    'three /mnt/3 guestmemfs store=dax,noauto 0 0',
    'four /mnt/4 guestmemfs noauto,x-systemd.automount 0 0',
    '#five /mnt/5 guestmemfs defaults 0 0',
    'six /mnt/6 tmpfs defaults 0 0',
  ]
  writeFileSync(join(root, 'etc/fstab'), `${lines.join('\n')}\n`)
  assert.deepEqual(readBootMounts(root).pools, ['one', 'two', 'four'])
})

test('units that mount a pool are found by the mount point, and those of guestmemfs itself mount none', (t) => {
  const root = machine(t)
  const [etc, vendor] = ['etc', 'usr/lib'].map((folder) => join(root, folder, 'systemd/system')) as [
    string,
    string,
  ]
  const command = ['/usr/local/lib/guestmemfs/current/guestmemfs']
  writeFileSync(join(etc, 'guestmemfs@.service'), keeperUnit(command))
  writeFileSync(join(etc, 'guestmemfs-resume.service'), resumeUnit(command))
  writeFileSync(join(etc, 'guestmemfs-early@.service'), earlyStartUnit(command, LOCAL_PLACES))
  writeFileSync(join(etc, 'mnt-other.mount'), '[Mount]\nWhat=tmp\nWhere=/mnt/other\nType=tmpfs\n')
  symlinkSync('/nowhere', join(etc, 'gone.service'))
  assert.deepEqual(readBootMounts(root).mountPoints, [])

  writeFileSync(join(etc, 'mnt-a.mount'), '[Mount]\nWhat=a\nWhere=/mnt/a\nType=guestmemfs\n')
  const mount = 'ExecStart=/bin/sh -c "guestmemfs mount b /mnt/b \\\n  -o store=dax"\n'
  writeFileSync(join(vendor, 'pools.service'), `[Service]\n${mount}`)
  assert.deepEqual(readBootMounts(root).mountPoints.toSorted(), ['/bin/sh', '/mnt/a', '/mnt/b'])
})
