/**
 * The unit of the early start in a boot that a kexec began: it runs before the mount of fstab, and the mount
 * follows whatever becomes of it. A real systemd with its own generator and the installed files boots.
 */
import assert from 'node:assert/strict'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { cannotMount, guestmemfs } from './support.ts'
import { cannotRunSystemd, startSystemd, writeTarget } from './systemd-host.ts'

const FSTAB_GENERATOR = '/lib/systemd/system-generators/systemd-fstab-generator'
const UNIT = 'guestmemfs-early@kept.service'
const skip =
  cannotMount || cannotRunSystemd || (existsSync(FSTAB_GENERATOR) ? false : `needs ${FSTAB_GENERATOR}`)

interface EarlyBoot {
  /** A property of a unit, as `systemctl show` prints it. */
  readonly show: (unit: string, property: string) => string
  readonly mount: string
  readonly run: Awaited<ReturnType<typeof startSystemd>>['run']
}

/**
 * Boots with a line of fstab for the pool `kept` in a region, which this machine lacks; its helper mounts a
 * tmpfs. `loader`: as /proc/sys/kernel/bootloader_type has it. Resolves when the mount is there.
 */
async function bootWith(
  t: TestContext,
  { loader = '208', change = () => {} }: { loader?: string; change?: (units: string) => void },
): Promise<EarlyBoot> {
  const folder = mkdtempSync(join(tmpdir(), 'early-unit-'))
  const place = (name: string): string => join(folder, name)
  const [units, generators, sbin, mountPoint] = ['units', 'generators', 'sbin', 'mnt'].map(place) as [
    string,
    string,
    string,
    string,
  ]
  for (const path of [units, generators, sbin, mountPoint]) mkdirSync(path)
  const installed = await guestmemfs('install', '--yes', '--prefix', place('root'))
  assert.equal(installed.status, 0, installed.stderr)
  cpSync(place('root/etc/systemd/system'), units, { recursive: true })
  cpSync(place('root/etc/systemd/system-generators'), generators, { recursive: true })
  cpSync(FSTAB_GENERATOR, join(generators, 'systemd-fstab-generator'))
  const helper = join(sbin, 'mount.guestmemfs')
  writeFileSync(helper, '#!/bin/sh\nexec mount -t tmpfs tmpfs "$2"\n')
  chmodSync(helper, 0o755)
  writeFileSync(place('fstab'), `kept ${mountPoint} guestmemfs store=dax,nofail 0 0\n`)
  writeFileSync(place('loader'), `${loader}\n`)
  writeTarget(units)
  for (const name of ['sysinit', 'basic', 'local-fs', 'remote-fs', 'network', 'multi-user'])
    writeFileSync(join(units, `${name}.target`), '[Unit]\nDefaultDependencies=no\n')
  const wants = 'Wants=sysinit.target local-fs.target'
  writeFileSync(join(units, 'test.target'), `[Unit]\nDefaultDependencies=no\n${wants}\n`)
  change(units)
  const realSbin = realpathSync('/sbin')
  const { run, stop } = await startSystemd(folder, units, {
    generators,
    fstab: place('fstab'),
    before: `mount -t overlay overlay -o lowerdir=${sbin}:${realSbin} ${realSbin}
      mount --bind ${place('loader')} /proc/sys/kernel/bootloader_type`,
  })
  t.after(async () => {
    await stop()
    rmSync(folder, { recursive: true })
  })
  const mount = run('systemd-escape', '--path', '--suffix=mount', mountPoint).output.trim()
  const show = (unit: string, property: string): string =>
    run('systemctl', 'show', '-P', property, unit).output.trim()
  for (let wait = 0; show(mount, 'ActiveState') !== 'active'; wait++) {
    assert.ok(wait < 300, `not mounted within 30 s\n${readFileSync(place('console'), 'utf8')}`)
    await sleep(100)
  }
  return { show, mount, run }
}

/** Of a unit: microseconds by the clock of systemd. */
const at = ({ show }: EarlyBoot, unit: string, property: string): number =>
  Number(show(unit, `${property}TimestampMonotonic`))

test('the early start is over before the mount begins, and is not started again by another one', {
  skip,
  timeout: 120_000,
}, async (t) => {
  const boot = await bootWith(t, {})
  const { show, mount, run } = boot
  assert.deepEqual(
    [show(UNIT, 'ActiveState'), show(UNIT, 'SubState'), show(UNIT, 'Result'), show(UNIT, 'ExecMainStatus')],
    ['active', 'exited', 'success', '0'],
  )
  const ended = at(boot, UNIT, 'ExecMainExit')
  assert.ok(ended > 0 && ended <= at(boot, mount, 'InactiveExit'))
  assert.equal(run('systemctl', 'restart', mount).status, 0)
  assert.equal(at(boot, UNIT, 'ExecMainExit'), ended)
})

test('a boot that no kexec began starts no process for it', { skip, timeout: 120_000 }, async (t) => {
  const { show } = await bootWith(t, { loader: '176' })
  assert.deepEqual(
    [show(UNIT, 'ActiveState'), show(UNIT, 'Result'), show(UNIT, 'ExecMainStartTimestampMonotonic')],
    ['inactive', 'exec-condition', '0'],
  )
})

test('a unit that is masked holds up no mount', { skip, timeout: 120_000 }, async (t) => {
  const { show } = await bootWith(t, { change: (units) => symlinkSync('/dev/null', join(units, UNIT)) })
  assert.equal(show(UNIT, 'LoadState'), 'masked')
})

test('a process that hangs is ended, and the mount follows', { skip, timeout: 120_000 }, async (t) => {
  const boot = await bootWith(t, {
    change: (units) => {
      mkdirSync(join(units, 'guestmemfs-early@.service.d'))
      // It ignores the signal by which systemd asks it to end.
      const start = `ExecStart=/bin/sh -c 'trap "" TERM; while :; do sleep 100; done'`
      writeFileSync(
        join(units, 'guestmemfs-early@.service.d/hang.conf'),
        `[Service]\nExecStart=\n${start}\nTimeoutStartSec=2s\n`,
      )
    },
  })
  assert.deepEqual([boot.show(UNIT, 'ActiveState'), boot.show(UNIT, 'Result')], ['failed', 'timeout'])
  const [began, mounted] = [at(boot, UNIT, 'InactiveExit'), at(boot, boot.mount, 'InactiveExit')]
  assert.ok(mounted > began && mounted - began < 10_000_000, `${mounted - began} µs`)
})
