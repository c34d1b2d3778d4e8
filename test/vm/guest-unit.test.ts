/**
 * Tests of guests that are services of systemd: QEMU is the unit's main process, before an update and after
 * it, so that the unit is active as long as the guest runs and its stop ends the guest in order.
 */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { mountTable } from '../../src/linux/mounts.ts'
import { readTicks } from '../../testbed/guests/ticks.ts'
import { CLI, cannotMount, printedIn } from '../mount/support.ts'
import { cannotRunSystemd, startUnitHost, type UnitHost } from '../mount/systemd-host.ts'
import { QEMU, quitFirst, ramOptions, SMALL_MACHINE, scratchFolder, tinyKernel } from './support.ts'

test('guests in units get their next QEMUs there', { skip: cannotMount || cannotRunSystemd }, async (t) => {
  const folder = scratchFolder(t)
  const mountPoint = join(folder, 'mnt')
  mkdirSync(mountPoint)
  const kernel = tinyKernel(folder)
  const serial = (name: string): string => join(folder, `${name}.serial`)
  const unitOf = (name: string, more: readonly string[], settings: string): string => {
    const line = [
      ...[QEMU, ...SMALL_MACHINE, ...ramOptions(join(mountPoint, name)), '-kernel', kernel],
      ...['-chardev', `file,id=s,path=${serial(name)},append=on`, '-serial', 'chardev:s', ...more],
    ]
    const command = [process.execPath, CLI, 'run', '--name', name, '--', ...line].join(' ')
    return `[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=${command}\n${settings}\n`
  }
  const host = await startUnitHost(t, {
    'beside.service': unitOf('beside', [], 'NotifyAccess=main'),
    'alone.service': unitOf('alone', quitFirst(folder), 'NotifyAccess=all'),
    'deaf.service': unitOf('deaf', [], ''),
  })
  const { run, good, until } = host
  good('mount', 'guests', mountPoint, '-o', 'size=256M')
  const show = (name: string, property: string): string =>
    run('systemctl', 'show', '-P', property, `${name}.service`).output.trim()
  const mainPid = (name: string): number => Number(show(name, 'MainPID'))
  const ticks = (name: string) => readTicks(textOf(serial(name)))
  const moreTicks = async (name: string): Promise<void> => {
    const wanted = ticks(name).length + 3
    await until(`${name} ticks`, () => ticks(name).length >= wanted)
    assert.ok(ticks(name).every(({ bad }) => bad === 0))
  }

  for (const name of ['beside', 'alone', 'deaf']) {
    assert.equal(run('systemctl', 'start', `${name}.service`).output, '')
    await moreTicks(name)
    await expectOnlyQemu(host, name, mainPid(name))
  }

  await t.test('updated, twice: another main process, a child of PID 1, and the unit is active', async () => {
    for (const round of [1, 2]) {
      const before = new Map(['beside', 'alone', 'deaf'].map((name) => [name, mainPid(name)]))
      const { output } = run(process.execPath, CLI, 'live-update', '--vmm-only', '--json')
      const [json = ''] = /^\{.*\}$/m.exec(output) ?? []
      const [report] = printedIn('live-update', json).reports
      assert.ok(report, output)
      for (const { name, outcome, quitFirst, problem } of report.vms) {
        assert.equal(outcome, name === 'deaf' ? 'refused' : 'updated', `${round}: ${output}`)
        assert.equal(typeof quitFirst, name === 'alone' ? 'string' : name === 'deaf' ? 'undefined' : 'object')
        if (name === 'deaf') assert.match(problem ?? '', /its unit deaf\.service would end with its QEMU/)
        const now = mainPid(name)
        assert.equal(now === before.get(name), name === 'deaf')
        await moreTicks(name)
        await expectOnlyQemu(host, name, now)
        assert.equal(show(name, 'ActiveState'), 'active')
      }
    }
  })

  await t.test('the unit is stopped: QEMU ends in order, and no VM is left', async () => {
    assert.equal(run('systemctl', 'stop', 'beside.service').status, 0)
    assert.deepEqual([show('beside', 'Result'), show('beside', 'ExecMainStatus')], ['success', '0'])
    await until('its record goes', () => !good('vms', '--json').includes('"beside"'))
  })

  await t.test('QEMU is killed: the unit has failed, by that signal', async () => {
    run('kill', '-KILL', String(mainPid('alone')))
    await until('it failed', () => show('alone', 'ActiveState') === 'failed')
    assert.deepEqual([show('alone', 'Result'), show('alone', 'ExecMainStatus')], ['signal', '9'])
    run('systemctl', 'stop', 'deaf.service')
    good('umount', 'guests')
  })
})

/** In the unit's cgroup there is QEMU alone, a child of PID 1. */
async function expectOnlyQemu({ run, until }: UnitHost, name: string, pid: number): Promise<void> {
  const group = mountTable().find(({ type }) => type === 'cgroup2')?.target
  const processes = () => run('cat', `${group}/system.slice/${name}.service/cgroup.procs`).output.trim()
  await until('QEMU alone', () => processes() === String(pid))
  const { output } = run('cat', `/proc/${pid}/status`)
  assert.match(output, /^Name:\tqemu-system-x86$/m)
  assert.match(output, /^PPid:\t1$/m)
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return '' // QEMU has not opened it yet
  }
}
