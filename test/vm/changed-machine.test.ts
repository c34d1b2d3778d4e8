/**
 * Owns the promise that an update loses no change of a machine: the preflight finds every change that was
 * made over the monitor, refuses it by name before the guest is paused, and the guest goes on.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readProcessLimits } from '../../src/linux/process-limits.ts'
import { readSchedule } from '../../src/linux/thread-schedule.ts'
import { moodyQemu } from './fake-qemu.ts'
import { image } from './living-machine.ts'
import {
  monitor,
  mountVmPool,
  qemuPid,
  resumeVms,
  scratchFolder,
  startTinyVm,
  type TestVm,
  updateVmm,
  type VmPool,
} from './support.ts'

const human = (name: string, line: string) => monitor(name, 'human-monitor-command', { 'command-line': line })

/** 0: none. */
const limit = (name: string, bytesPerSecond: number) =>
  monitor(name, 'block_set_io_throttle', {
    ...{ id: '/machine/peripheral/vd0/virtio-backend', bps: bytesPerSecond },
    ...{ bps_rd: 0, bps_wr: 0, iops: 0, iops_rd: 0, iops_wr: 0 },
  })

async function limitOfDisk(name: string): Promise<number | undefined> {
  const drives = (await monitor(name, 'query-block')) as { qdev?: string; inserted?: { bps: number } }[]
  return drives.find(({ qdev }) => qdev?.includes('/vd0/'))?.inserted?.bps
}

interface Machine {
  readonly pool: VmPool
  readonly vm: TestVm
  readonly folder: string
}

/** A guest with a disk, a drive for media and a network, all of which can be changed. */
async function startMachine(t: TestContext, word: string, more: { qemu?: string } = {}): Promise<Machine> {
  const pool = await mountVmPool(t)
  const folder = scratchFolder(t)
  const disk = image(folder, 'disk.raw', 0xa5)
  const options = [
    ...['-blockdev', `driver=file,node-name=file0,filename=${disk}`],
    ...['-blockdev', 'driver=raw,node-name=disk0,file=file0'],
    ...['-device', 'pcie-root-port,id=port0', '-device', 'virtio-blk-pci,drive=disk0,id=vd0'],
    ...['-device', 'ahci,id=ahci0', '-drive', 'if=none,id=cd0,media=cdrom,readonly=on'],
    ...['-device', 'ide-cd,drive=cd0,id=cdrom0,bus=ahci0.0'],
    ...['-netdev', 'user,id=net0', '-device', 'virtio-net-pci,netdev=net0,id=nic0,romfile='],
  ]
  const vm = await startTinyVm(t, pool, word, { options, ...more })
  return { pool, vm, folder }
}

/** The update was refused, and the guest runs in the same QEMU without a lost tick. */
async function expectRefused({ pool, vm }: Machine, words: RegExp): Promise<void> {
  const before = qemuPid(vm.name)
  const { status, stderr, report } = await updateVmm(pool)
  assert.equal(status, 1, `an update that loses ${words}: ${JSON.stringify(report)}`)
  assert.match(stderr, words)
  assert.equal(qemuPid(vm.name), before)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
}

async function expectUpdated({ pool, vm }: Machine): Promise<void> {
  const before = qemuPid(vm.name)
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 0, stderr)
  assert.match(stderr, /^[^\n]*: connections through its user networking net0 end with this QEMU\n$/)
  assert.notEqual(qemuPid(vm.name), before)
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
}

interface Change {
  readonly what: string
  readonly make: (machine: Machine) => Promise<unknown>
  readonly words: RegExp
  readonly undo: (machine: Machine) => Promise<unknown>
}

const CHANGES: readonly Change[] = [
  {
    what: 'a network backend that was added',
    make: ({ vm }) => monitor(vm.name, 'netdev_add', { type: 'user', id: 'net1' }),
    words: /network backend net1 was added while it ran \(user/,
    undo: ({ vm }) => monitor(vm.name, 'netdev_del', { id: 'net1' }),
  },
  {
    what: 'a dirty bitmap in memory',
    make: ({ vm }) => monitor(vm.name, 'block-dirty-bitmap-add', { node: 'disk0', name: 'backup0' }),
    words: /dirty bitmap that is not persistent disk0 was added while it ran \(backup0\)/,
    undo: ({ vm }) => monitor(vm.name, 'block-dirty-bitmap-remove', { node: 'disk0', name: 'backup0' }),
  },
  {
    what: 'a backup that runs',
    make: ({ vm, folder }) =>
      monitor(vm.name, 'drive-backup', {
        ...{ 'job-id': 'job0', device: 'disk0', sync: 'full', format: 'raw', speed: 1 },
        target: join(folder, 'backup.raw'),
      }),
    words: /job job0 was added while it ran \(backup/,
    undo: async ({ vm }) => {
      await monitor(vm.name, 'block-job-cancel', { device: 'job0', force: true })
    },
  },
  {
    what: 'an object',
    make: ({ vm }) => monitor(vm.name, 'object-add', { 'qom-type': 'secret', id: 'sec1', data: 'x' }),
    words: /object sec1 was added while it ran \(secret\)/,
    undo: ({ vm }) => monitor(vm.name, 'object-del', { id: 'sec1' }),
  },
  {
    what: 'a character device',
    make: ({ vm }) => monitor(vm.name, 'chardev-add', { id: 'char1', backend: { type: 'null', data: {} } }),
    words: /character device or I\/O thread char1 was added while it ran \(null\)/,
    undo: ({ vm }) => monitor(vm.name, 'chardev-remove', { id: 'char1' }),
  },
]

test('a change of a machine while it ran is refused by name, and the update succeeds once it is undone', async (t) => {
  const machine = await startMachine(t, 'changed')
  for (const { what, make, words, undo } of CHANGES) {
    await t.test(what, async () => {
      await make(machine)
      await expectRefused(machine, words)
      await undo(machine)
    })
  }
  await expectUpdated(machine)
})

test('forwarded ports and limits of disks are made again, and taken away again', async (t) => {
  const machine = await startMachine(t, 'carried')
  const { name } = machine.vm
  const forwards = async () => [
    ...String(await human(name, 'info usernet')).matchAll(/HOST_FORWARD.*?(\d+) +10\.0/g),
  ]
  await human(name, 'hostfwd_add net0 tcp:127.0.0.1:22022-:22')
  await human(name, 'hostfwd_add net0 udp::22023-:53')
  await limit(name, 1 << 20)
  await expectUpdated(machine)
  assert.deepEqual((await forwards()).map(([, port]) => port).toSorted(), ['22022', '22023'])
  assert.equal(await limitOfDisk(name), 1 << 20)

  await human(name, 'hostfwd_remove net0 tcp:127.0.0.1:22022')
  await limit(name, 0)
  await expectUpdated(machine)
  assert.deepEqual(
    (await forwards()).map(([, port]) => port),
    ['22023'],
  )
  assert.equal(await limitOfDisk(name), 0)
})

test('threads are scheduled as they were, pinned, at their policy and nice value, and the process has its limits', async (t) => {
  const machine = await startMachine(t, 'pinned')
  const { name } = machine.vm
  const [{ 'thread-id': vcpu }] = (await monitor(name, 'query-cpus-fast')) as [{ 'thread-id': number }]
  execFileSync('taskset', ['-cp', '0', String(vcpu)])
  execFileSync('chrt', ['--batch', '-p', '0', String(vcpu)])
  execFileSync('renice', ['-n', '7', '-p', String(vcpu)], { stdio: 'ignore' })
  const schedules = async () => {
    const pid = qemuPid(name)
    const threads = (await monitor(name, 'query-cpus-fast')) as { 'thread-id': number }[]
    return [pid, ...threads.map((thread) => thread['thread-id'])].map((tid) => readSchedule(pid, tid))
  }
  execFileSync('prlimit', ['--pid', String(qemuPid(name)), '--nofile=512:1024', '--core=0:0'])
  execFileSync('choom', ['-n', '321', '-p', String(qemuPid(name))], { stdio: 'ignore' })
  const limits = readProcessLimits(qemuPid(name))
  assert.deepEqual(
    [limits?.oomScoreAdj, limits?.resources[7], limits?.resources[4]],
    [321, [512, 1024], [0, 0]],
  )
  const before = await schedules()
  assert.deepEqual([before[1]?.cpus, before[1]?.policy, before[1]?.nice], ['0', 3, 7])
  assert.notDeepEqual(before[0], before[1])
  await expectUpdated(machine)
  assert.deepEqual(await schedules(), before)
  assert.deepEqual(readProcessLimits(qemuPid(name)), limits)
})

test('a port that another process has taken meanwhile is reported, and the guest runs on', async (t) => {
  const qemu = moodyQemu(scratchFolder(t))
  const machine = await startMachine(t, 'taken', { qemu: qemu.path })
  await human(machine.vm.name, 'hostfwd_add net0 tcp:127.0.0.1:22024-:22')
  qemu.set('exit 7')
  assert.equal((await updateVmm(machine.pool)).report.vms[0]?.outcome, 'saved')
  qemu.reset()
  const other = createServer().listen(22024, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  const { report } = await resumeVms(machine.pool)
  assert.equal(report.vms[0]?.outcome, 'resumed')
  assert.match(
    report.vms[0].problem ?? '',
    /^forward tcp:127\.0\.0\.1:22024-10\.0\.2\.15:22 of net0 could not be set again/,
  )
  assert.equal(((await monitor(machine.vm.name, 'query-status')) as { status: string }).status, 'running')
})

test('what was plugged without an id, or with a backend that does not tell all, is refused by name', async (t) => {
  const machine = await startMachine(t, 'plugged')
  await monitor(machine.vm.name, 'netdev_add', { type: 'user', id: 'net1', hostname: 'guest' })
  await monitor(machine.vm.name, 'device_add', {
    ...{ driver: 'virtio-net-pci', id: 'nic1', bus: 'port0', netdev: 'net1' },
  })
  await expectRefused(machine, /network backend net1 was plugged: QEMU reports all options only of a tap/)

  const other = await startMachine(t, 'no-id')
  await monitor(other.vm.name, 'device_add', { driver: 'virtio-rng-pci', bus: 'port0' })
  await expectRefused(other, /device virtio-rng-pci number 1 was added while it ran/)
})

test('what was done after an update is seen by the next one', async (t) => {
  const machine = await startMachine(t, 'again')
  await expectUpdated(machine)
  await monitor(machine.vm.name, 'netdev_add', { type: 'user', id: 'net1' })
  await expectRefused(machine, /network backend net1 was added/)
})

test('RAM outside of the pool is never left behind', async (t) => {
  const pool = await mountVmPool(t)
  const options = [
    ...['-object', 'memory-backend-file,id=more,size=16M,mem-path=/dev/shm,share=on'],
    ...['-device', 'ivshmem-plain,memdev=more,master=on'],
  ]
  await assert.rejects(startTinyVm(t, pool, 'outside', { options }), /memory backend 'more'.* would be lost/)

  // The same, plugged while it runs, which no line can carry.
  const machine = await startMachine(t, 'plugged-ram')
  await monitor(machine.vm.name, 'object-add', {
    ...{ 'qom-type': 'memory-backend-memfd', id: 'more', size: 16 << 20, share: true },
  })
  await expectRefused(machine, /16M of its RAM \(memory-backend-memfd, 'more'\) are not in the pool/)
})
