/** Tests that an update resumes a guest on the network it was on, or reports that it cannot. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { before, type TestContext, test } from 'node:test'
import { installPackages, THIS_HOST } from '../../src/host/apt.ts'
import { moodyQemu } from './fake-qemu.ts'
import { leaveSaved } from './leave-saved.ts'
import {
  listVms,
  monitor,
  mountVmPool,
  qemuPid,
  resumeVms,
  scratchFolder,
  startTinyVm,
  updateVmm,
} from './support.ts'

const ip = (...words: string[]) => execFileSync('ip', words, { stdio: 'pipe' })

/** A machine with QEMU need not have ip(8). */
before(() => {
  if (!['/usr/sbin/ip', '/sbin/ip', '/usr/bin/ip', '/bin/ip'].some((path) => existsSync(path)))
    installPackages(THIS_HOST, ['iproute2'], undefined)
})

/** A bridge, removed after the test. Names of interfaces have 15 characters at most. */
function makeBridge(t: TestContext, word: string): string {
  const bridge = `gmb${word}${process.pid % 100_000}`
  ip('link', 'add', bridge, 'type', 'bridge')
  t.after(() => ip('link', 'del', bridge))
  return bridge
}

const tapOptions = (tap: string) => [
  ...['-netdev', `tap,id=net0,ifname=${tap},script=no,downscript=no`],
  ...['-device', 'virtio-net-pci,netdev=net0,id=nic0,romfile='],
]

test('a tap that stays is in its bridge before the guest goes on', async (t) => {
  const pool = await mountVmPool(t)
  const [bridge, tap] = [makeBridge(t, 's'), `gmt${process.pid % 100_000}`]
  ip('tuntap', 'add', 'dev', tap, 'mode', 'tap')
  t.after(() => ip('link', 'del', tap))
  ip('link', 'set', tap, 'master', bridge)
  const qemu = moodyQemu(scratchFolder(t))
  const vm = await startTinyVm(t, pool, 'stays', { qemu: qemu.path, options: tapOptions(tap) })
  assert.equal((await updateVmm(pool)).status, 0)
  await vm.serial.moreTicks(1)

  await leaveSaved(pool, qemu)
  ip('link', 'set', tap, 'nomaster')
  const { report } = await resumeVms(pool, '--timeout', '1500ms')
  assert.equal(report.vms[0]?.outcome, 'saved')
  assert.match(report.vms[0].problem ?? '', new RegExp(`its tap ${tap} is not in ${bridge}: 'ip link set`))
  assert.equal((await listVms(pool))[0]?.state, 'saved')

  // As at boot: the network comes up while `resume` waits for it.
  const resumed = resumeVms(pool)
  setTimeout(() => ip('link', 'set', tap, 'master', bridge), 1000)
  assert.equal((await resumed).status, 0)
  assert.equal((await listVms(pool))[0]?.state, 'running')
})

test('a tap that the operator put into a bridge, and that ends with its QEMU, is refused before the update', async (t) => {
  const pool = await mountVmPool(t)
  const [bridge, tap] = [makeBridge(t, 'e'), `gmu${process.pid % 100_000}`]
  const vm = await startTinyVm(t, pool, 'ends', { options: tapOptions(tap) })
  ip('link', 'set', tap, 'master', bridge)
  const pid = qemuPid(vm.name)
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 1)
  assert.match(stderr, new RegExp(`its tap ${tap} ends with its QEMU, .* into ${bridge}`))
  assert.equal(qemuPid(vm.name), pid)
  ip('link', 'set', tap, 'nomaster')
  assert.equal((await updateVmm(pool)).status, 0)
  await vm.serial.moreTicks(1)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('a NIC that was plugged while the guest ran is on its tap, in its bridge, afterwards', async (t) => {
  const pool = await mountVmPool(t)
  const [bridge, tap] = [makeBridge(t, 'p'), `gmp${process.pid % 100_000}`]
  ip('tuntap', 'add', 'dev', tap, 'mode', 'tap')
  t.after(() => ip('link', 'del', tap))
  ip('link', 'set', tap, 'master', bridge)
  const vm = await startTinyVm(t, pool, 'plugs', { options: ['-device', 'pcie-root-port,id=port0'] })
  await monitor(vm.name, 'netdev_add', {
    type: 'tap',
    id: 'net9',
    ifname: tap,
    script: 'no',
    downscript: 'no',
  })
  await monitor(vm.name, 'device_add', {
    ...{ driver: 'virtio-net-pci', id: 'nic9', bus: 'port0', netdev: 'net9' },
    ...{ mac: '52:54:00:09:09:09', host_mtu: 9000 },
  })
  const before = qemuPid(vm.name)
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 0, stderr)
  assert.match(stderr, new RegExp(`with -netdev tap,id=net9,ifname=${tap},`))
  assert.notEqual(qemuPid(vm.name), before)
  const told = await monitor(vm.name, 'human-monitor-command', { 'command-line': 'info network' })
  assert.match(String(told), new RegExp(`nic9: .*52:54:00:09:09:09[^]*net9: .*ifname=${tap}`))
  const mtu = { path: '/machine/peripheral/nic9', property: 'host_mtu' }
  assert.equal(await monitor(vm.name, 'qom-get', mtu), 9000)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})
