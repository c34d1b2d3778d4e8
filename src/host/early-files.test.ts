/**
 * Tests of what asks for the early start at boot: the generator's drop-ins, and the unit's own conditions.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { earlyGenerator, earlyStartUnit } from './early-files.ts'
import { LOCAL_PLACES } from './install-files.ts'
import { commandIn } from './next-boot.ts'

const cannotEscape =
  spawnSync('systemd-escape', ['a']).error === undefined ? false : 'needs systemd-escape, of systemd'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'early-files-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('each mount of fstab that is in a region has its early unit start first, and no other mount', {
  skip: cannotEscape,
}, (t) => {
  const folder = folderOf(t)
  const [script, fstab, out] = ['generator', 'fstab', 'out'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(script, earlyGenerator(LOCAL_PLACES))
  chmodSync(script, 0o755)
  mkdirSync(out)
  const lines = [
    'one /mnt/a\\040b guestmemfs store=dax,nofail 0 0',
    'two /mnt/two fuse.guestmemfs noauto,store=devmem',
    'three /mnt/three guestmemfs size=1G 0 0',
    '# four /mnt/four guestmemfs store=dax 0 0',
    'five/../x /mnt/five guestmemfs store=dax 0 0',
    'six /mnt/six ext4 store=dax 0 0',
  ]
  writeFileSync(fstab, `${lines.join('\n')}\n`)
  // Twice, as by daemon-reload into a folder that is not empty.
  for (const _ of [1, 2]) {
    const env = { ...process.env, SYSTEMD_FSTAB: fstab }
    const { status, stderr } = spawnSync(script, [out, out, out], { env, encoding: 'utf8' })
    assert.deepEqual([status, stderr], [0, ''])
  }
  assert.deepEqual(readdirSync(out).sort(), ['mnt-a\\x20b.mount.d', 'mnt-two.mount.d'])
  assert.equal(
    readFileSync(join(out, 'mnt-a\\x20b.mount.d/guestmemfs-early.conf'), 'utf8'),
    '[Unit]\nWants=guestmemfs-early@one.service\nAfter=guestmemfs-early@one.service\n',
  )
})

test('without fstab, or with one that names no pool, the generator makes nothing', (t) => {
  const folder = folderOf(t)
  writeFileSync(join(folder, 'fstab'), '/dev/vda / ext4 defaults 0 1\n')
  for (const fstab of ['fstab', 'none']) {
    const env = { ...process.env, SYSTEMD_FSTAB: join(folder, fstab) }
    const { status } = spawnSync('sh', ['-c', earlyGenerator(LOCAL_PLACES), 'sh', folder], { env })
    assert.equal(status, 0)
  }
  assert.deepEqual(readdirSync(folder), ['fstab'])
})

test('the unit ends no QEMU, is required by nothing, ends in time, and runs what is current', () => {
  const unit = earlyStartUnit(['/usr/local/lib/guestmemfs/current/guestmemfs'], LOCAL_PLACES)
  assert.deepEqual(commandIn(unit), ['/usr/local/lib/guestmemfs/current/guestmemfs'])
  for (const line of [
    'DefaultDependencies=no',
    'Before=guestmemfs@%i.service',
    'RequiresMountsFor="/usr/local/lib/guestmemfs/current"',
    'Type=oneshot',
    'RemainAfterExit=yes',
    'KillMode=process',
    'OOMPolicy=continue',
    'TimeoutStartSec=30s',
  ])
    assert.ok(unit.split('\n').includes(line), line)
  assert.doesNotMatch(unit, /^(?:RequiredBy|WantedBy|Restart|After=.*local-fs)/m)
})

test('a boot that no kexec began is skipped', (t) => {
  const unit = earlyStartUnit(['/x'], LOCAL_PLACES)
  const [, condition = ''] = /^ExecCondition=(\S+ .*)$/m.exec(unit) ?? []
  const file = join(folderOf(t), 'bootloader_type')
  const [program = '', ...words] = condition.replace('/proc/sys/kernel/bootloader_type', file).split(' ')
  assert.ok(words.includes(file))
  for (const [loader, status] of [
    ['208\n', 0],
    ['176\n', 1],
    ['20\n', 1],
    ['2080\n', 1],
  ] as const) {
    writeFileSync(file, loader)
    assert.equal(spawnSync(program, words).status, status, loader)
  }
})
