/**
 * Tests that network backends of several queues, and those that were added while the guest ran, are there
 * after an update with what QEMU reports of them, or are refused by name.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, type TestContext, test } from 'node:test'
import { installPackages, THIS_HOST } from '../../src/host/apt.ts'
import { openFiles } from '../../src/linux/open-files.ts'
import { factsOf } from './carried-changes.ts'
import { monitor, mountVmPool, qemuPid, scratchFolder, startTinyVm, updateVmm } from './support.ts'

const ip = (...words: string[]) => execFileSync('ip', words, { stdio: 'pipe' })

/** A machine with QEMU need not have ip(8). */
before(() => {
  if (!['/usr/sbin/ip', '/sbin/ip', '/usr/bin/ip', '/bin/ip'].some((path) => existsSync(path)))
    installPackages(THIS_HOST, ['iproute2'], undefined)
})

/** A tap that stays, removed after the test. Names of interfaces have 15 characters at most. */
function makeTap(t: TestContext, word: string, ...more: string[]): string {
  const tap = `gmn${word}${process.pid % 100_000}`
  ip('tuntap', 'add', 'dev', tap, 'mode', 'tap', ...more)
  t.after(() => ip('link', 'del', tap))
  return tap
}

/** Processes and queues that are attached to the tap: the kernel shows only the latter. */
const attachedTo = (tap: string): number =>
  readdirSync(`/sys/class/net/${tap}/queues`).filter((queue) => queue.startsWith('rx-')).length

const queuesOf = (name: string, tap: string): number =>
  (openFiles(qemuPid(name)) ?? []).filter(({ interfaceName }) => interfaceName === tap).length

const networksOf = async (name: string): Promise<string[]> =>
  String(await monitor(name, 'human-monitor-command', { 'command-line': 'info network' }))
    .split(/\r?\n/)
    .toSorted()

/** The most queues that were attached to the tap while `work` was done. */
async function mostAttached<T>(tap: string, work: Promise<T>): Promise<readonly [T, number]> {
  let most = 0
  const timer = setInterval(() => {
    most = Math.max(most, attachedTo(tap))
  }, 1)
  try {
    return [await work, most]
  } finally {
    clearInterval(timer)
  }
}

test('a tap of two queues has two afterwards, and no other process is attached to it meanwhile', async (t) => {
  const pool = await mountVmPool(t)
  const tap = makeTap(t, 'l', 'multi_queue')
  const vm = await startTinyVm(t, pool, 'queues', {
    options: [
      ...['-netdev', `tap,id=net0,ifname=${tap},script=no,downscript=no,queues=2`],
      ...['-device', 'virtio-net-pci,netdev=net0,id=nic0,mq=on,vectors=6,romfile='],
    ],
  })
  const before = { pid: qemuPid(vm.name), networks: await networksOf(vm.name) }
  assert.equal(queuesOf(vm.name, tap), 2)
  const [{ status, stderr }, most] = await mostAttached(tap, updateVmm(pool))
  assert.equal(status, 0, stderr)
  assert.equal(stderr, '')
  assert.notEqual(qemuPid(vm.name), before.pid)
  assert.deepEqual([queuesOf(vm.name, tap), most], [2, 2])
  assert.deepEqual(await networksOf(vm.name), before.networks)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('network backends that were added are there afterwards, with queues, header, addresses and forwards', async (t) => {
  const pool = await mountVmPool(t)
  const [wide, plain] = [makeTap(t, 'w', 'multi_queue'), makeTap(t, 'p')]
  const ports = ['port0', 'port1', 'port2']
  const options = ports.flatMap((id, index) => ['-device', `pcie-root-port,id=${id},chassis=${index + 1}`])
  const vm = await startTinyVm(t, pool, 'added', { options })
  const add = (type: string, id: string, more: object) =>
    monitor(vm.name, 'netdev_add', { type, id, ...more })
  const plug = (netdev: string, port: number, more: object = {}) =>
    monitor(vm.name, 'device_add', {
      ...{ driver: 'virtio-net-pci', id: `nic-${netdev}`, netdev, bus: ports[port], ...more },
    })
  const noScript = { script: 'no', downscript: 'no' }
  await add('tap', 'wide', { ifname: wide, queues: 2, ...noScript })
  await plug('wide', 0, { mq: true, vectors: 6 })
  await add('tap', 'plain', { ifname: plain, vnet_hdr: false, ...noScript })
  await plug('plain', 1)
  await add('user', 'user', { restrict: true })
  await plug('user', 2)
  const inet = (port: string) => ({ type: 'inet', host: '127.0.0.1', port })
  await add('dgram', 'dgram', { local: inet('42101'), remote: inet('42102') })
  await monitor(vm.name, 'human-monitor-command', {
    'command-line': 'hostfwd_add user tcp:127.0.0.1:42103-:22',
  })

  const plugged = ['nic-wide', 'nic-plain', 'nic-user']
  const header = () => Number(readFileSync(`/sys/class/net/${plain}/tun_flags`, 'latin1')) & 0x4000
  const look = async () => ({
    networks: await networksOf(vm.name),
    facts: await factsOf({ vm }, plugged),
    queues: [queuesOf(vm.name, wide), queuesOf(vm.name, plain)],
    header: header(),
    forwards: /HOST_FORWARD.*42103/.test(
      String(await monitor(vm.name, 'human-monitor-command', { 'command-line': 'info usernet' })),
    ),
  })
  const former = await look()
  assert.deepEqual([former.queues, former.header, former.forwards], [[2, 1], 0, true])
  const pid = qemuPid(vm.name)
  const [{ status, stderr }, most] = await mostAttached(wide, updateVmm(pool))
  assert.equal(status, 0, stderr)
  assert.match(stderr, new RegExp(`with -netdev tap,id=wide,ifname=${wide},script=no,downscript=no,queues=2`))
  assert.match(stderr, /user network user was plugged: QEMU reports its forwards and restrict= alone/)
  assert.match(stderr, new RegExp(`tap ${plain} was plugged: QEMU does not report sndbuf=`))
  assert.notEqual(qemuPid(vm.name), pid)
  assert.equal(most, 2)
  assert.deepEqual(await look(), former)
  await vm.serial.moreTicks(2)
  // They are in the line by now.
  const again = await updateVmm(pool)
  assert.equal(again.status, 0)
  assert.match(
    again.stderr,
    /^guestmemfs: warning: \S+ \S+: connections through its user networking .* end with this QEMU\n$/,
  )
  assert.deepEqual(await look(), former)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('a user network that others came after cannot be taken out, and the last one can', async (t) => {
  const pool = await mountVmPool(t)
  const options = ['net0', 'net1', 'net2'].flatMap((id) => ['-netdev', `user,id=${id}`])
  const vm = await startTinyVm(t, pool, 'numbers', { options })
  await monitor(vm.name, 'netdev_del', { id: 'net2' })
  assert.equal((await updateVmm(pool)).status, 0)
  const pid = qemuPid(vm.name)
  await monitor(vm.name, 'netdev_del', { id: 'net0' })
  const { status, report, stderr } = await updateVmm(pool)
  // A guest that was paused would be in the report.
  assert.deepEqual([status, report.vms], [1, []])
  assert.match(stderr, /net0 was removed .*its number in the state would be another/)
  assert.equal(qemuPid(vm.name), pid)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})

test('a network backend whose options QEMU does not report is refused by its kind', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'untold')
  const folder = scratchFolder(t)
  const unix = { type: 'unix', path: join(folder, 'peer') }
  const inet = { type: 'inet', host: '230.0.0.1', port: '42104' }
  const cases = [
    [{ type: 'stream', server: true, addr: unix }, /does not report all options of this stream/],
    [{ type: 'dgram', remote: inet }, /does not report all options of this dgram/],
    [{ type: 'socket', listen: '127.0.0.1:42105' }, /does not report all options of this socket/],
    [{ type: 'user', net: '10.9.0.0/16' }, /does not report the mask of net=10\.9\.0\.0/],
  ] as const
  const pid = qemuPid(vm.name)
  for (const [backend, words] of cases) {
    await monitor(vm.name, 'netdev_add', { id: 'net1', ...backend })
    const { status, stderr } = await updateVmm(pool)
    assert.equal(status, 1)
    assert.match(stderr, words)
    await monitor(vm.name, 'netdev_del', { id: 'net1' })
  }
  assert.equal(qemuPid(vm.name), pid)
  const { status, stderr } = await updateVmm(pool)
  assert.deepEqual([status, stderr], [0, ''])
})
