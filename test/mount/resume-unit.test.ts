/**
 * The boot of a host with the line of fstab that docs/guide/live-update.md shows: the unit resumes saved
 * guests after a mount that may fail, however long it takes. A real systemd with its own generator and the
 * installed files boots.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { cannotMount, guestmemfs } from './support.ts'
import { cannotRunSystemd, startSystemd, writeTarget } from './systemd-host.ts'

const FSTAB_GENERATOR = '/lib/systemd/system-generators/systemd-fstab-generator'
const TARGETS = ['sysinit', 'basic', 'local-fs', 'remote-fs', 'network', 'multi-user']
const cannotGenerate = existsSync(FSTAB_GENERATOR) ? false : `needs ${FSTAB_GENERATOR}`

test('guests are resumed after the mounts of fstab', {
  skip: cannotMount || cannotRunSystemd || cannotGenerate,
  timeout: 120_000,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'resume-'))
  const [units, generators, mountPoint] = ['units', 'generators', 'mnt a'].map((name) =>
    join(folder, name),
  ) as [string, string, string]
  for (const path of [units, generators, mountPoint]) mkdirSync(path)
  const installed = await guestmemfs('install', '--yes', '--prefix', join(folder, 'root'))
  assert.equal(installed.status, 0, installed.stderr)
  cpSync(join(folder, 'root/etc/systemd/system'), units, { recursive: true })
  // The tree under test may install no generator.
  const ours = join(folder, 'root/etc/systemd/system-generators')
  if (existsSync(ours)) cpSync(ours, generators, { recursive: true })
  cpSync(FSTAB_GENERATOR, join(generators, 'systemd-fstab-generator'))

  // A slow helper, as where a region of memory is brought up.
  const sbin = join(folder, 'sbin')
  mkdirSync(sbin)
  const helper = join(sbin, 'mount.guestmemfs')
  writeFileSync(helper, `#!/bin/sh\nsleep 2\nexec ${join(folder, 'root/sbin/mount.guestmemfs')} "$@"\n`)
  chmodSync(helper, 0o755)
  const lines = [
    `kept ${mountPoint.replaceAll(' ', '\\040')} guestmemfs size=64M,nofail 0 0`,
    `later ${folder}/later guestmemfs size=64M,noauto,nofail 0 0`,
    '# other /mnt/x guestmemfs size=1G 0 0',
  ]
  writeFileSync(join(folder, 'fstab'), `${lines.join('\n')}\n`)
  writeTarget(units)
  for (const name of TARGETS) writeFileSync(join(units, `${name}.target`), '[Unit]\nDefaultDependencies=no\n')
  const wants = 'Wants=sysinit.target local-fs.target remote-fs.target multi-user.target'
  writeFileSync(join(units, 'test.target'), `[Unit]\nDefaultDependencies=no\n${wants}\n`)

  const { run, stop } = await startSystemd(folder, units, {
    generators,
    fstab: join(folder, 'fstab'),
    before: `mount -t overlay overlay -o lowerdir=${sbin}:${realpathSync('/sbin')} ${realpathSync('/sbin')}`,
  })
  t.after(async () => {
    await stop()
    rmSync(folder, { recursive: true })
  })

  const service = 'guestmemfs-resume.service'
  const mount = run('systemd-escape', '--path', '--suffix=mount', mountPoint).output.trim()
  const shown = (unit: string, property: string) =>
    run('systemctl', 'show', '-P', property, unit).output.trim()
  const settled = () =>
    shown(mount, 'ActiveState') === 'active' && /^(inactive|failed)$/.test(shown(service, 'ActiveState'))
  for (let wait = 0; !settled() && wait < 200; wait++) await sleep(100)
  const console = () => readFileSync(join(folder, 'console'), 'utf8')
  assert.equal(shown(mount, 'ActiveState'), 'active', console())
  assert.deepEqual(
    [shown(service, 'ConditionResult'), shown(service, 'Result')],
    ['yes', 'success'],
    console(),
  )
  const [mountedAt, resumedAt] = [
    Number(shown(mount, 'ActiveEnterTimestampMonotonic')),
    Number(shown(service, 'ExecMainStartTimestampMonotonic')),
  ]
  assert.ok(mountedAt > 0 && resumedAt >= mountedAt, `mounted at ${mountedAt}, resumed at ${resumedAt} µs`)

  const after = shown(service, 'After')
  assert.ok(after.includes('network.target') && after.includes('later.mount'), after)
  assert.ok(!shown(service, 'Wants').includes('later.mount'), 'noauto is for others to mount')
  assert.match(shown(service, 'Restart'), /^on-failure$/)

  const verified = spawnSync('systemd-analyze', ['verify', '--man=no', join(units, service)], {
    encoding: 'utf8',
    env: { ...process.env, SYSTEMD_UNIT_PATH: units },
  })
  assert.deepEqual([verified.status, verified.stderr], [0, ''])
})
