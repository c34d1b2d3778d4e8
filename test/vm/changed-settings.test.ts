/**
 * Tests that settings of a machine that no command line has are set again in the guest's next QEMU, or
 * reported: forwarded ports, limits, properties of objects, thresholds, scheduling.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { cgroupOf, joinCgroup } from '../../src/linux/cgroup.ts'
import { mountTable } from '../../src/linux/mounts.ts'
import { readProcessLimits } from '../../src/linux/process-limits.ts'
import { readSchedule } from '../../src/linux/thread-schedule.ts'
import { image } from './carried-changes.ts'
import { moodyQemu } from './fake-qemu.ts'
import { leaveSaved } from './leave-saved.ts'
import { expectUpdated, setProperty, startMachine } from './refused-changes.ts'
import { monitor, qemuPid, quitFirst, resumeVms, scratchFolder, updateVmm } from './support.ts'

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

test('properties of objects and write thresholds are set again, and a boot order is in the next line', async (t) => {
  const machine = await startMachine(t, 'properties')
  const { name } = machine.vm
  const get = (path: string, property: string) => monitor(name, 'qom-get', { path, property })
  const properties = async () => {
    const found = [((await get('/objects/group0', 'limits')) as Record<string, unknown>)['iops-total']]
    for (const property of ['poll-max-ns', 'thread-pool-min', 'thread-pool-max'])
      found.push(await get('/objects/thread0', property))
    return [...found, await get('/machine/peripheral/vd0', 'bootindex')]
  }
  const thresholds = async () => {
    const nodes = (await monitor(name, 'query-named-block-nodes', { flat: true })) as {
      file: string
      write_threshold: number
    }[]
    return nodes.flatMap(({ file, write_threshold: bytes }) => (bytes === 0 ? [] : [[file, bytes]]))
  }
  const iso = image(machine.folder, 'one.iso', 1)
  await monitor(name, 'blockdev-change-medium', { id: 'cdrom0', filename: iso, format: 'raw' })
  const drives = (await monitor(name, 'query-block')) as {
    inserted?: { file: string; 'node-name': string }
  }[]
  const medium = drives.find(({ inserted }) => inserted?.file === iso)?.inserted?.['node-name']
  await setProperty(name, 'group0', 'limits', { 'iops-total': 321 })
  await setProperty(name, 'thread0', 'poll-max-ns', 777)
  // Both below what the line says: QEMU takes them in this order alone.
  await setProperty(name, 'thread0', 'thread-pool-min', 8)
  await setProperty(name, 'thread0', 'thread-pool-max', 16)
  await monitor(name, 'qom-set', { path: '/machine/peripheral/vd0', property: 'bootindex', value: 3 })
  for (const [node, bytes] of [
    ['disk0', 1000],
    [medium, 2000],
  ])
    await monitor(name, 'block-set-write-threshold', { 'node-name': node, 'write-threshold': bytes })
  const before = [await properties(), await thresholds()]
  assert.deepEqual(before, [
    [321, 777, 8, 16, 3],
    [
      [iso, 2000],
      [join(machine.folder, 'disk.raw'), 1000],
    ],
  ])
  const { status, stderr } = await updateVmm(machine.pool)
  assert.equal(status, 0, stderr)
  assert.match(stderr, /with .*-device virtio-blk-pci,drive=disk0,id=vd0,bootindex=3/)
  assert.deepEqual([await properties(), await thresholds()], before)
  // Once more: the line has the boot order by now, and no line has the others.
  await expectUpdated(machine)
  assert.deepEqual([await properties(), await thresholds()], before)
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
  const pid = qemuPid(name)
  const { status, stderr } = await updateVmm(machine.pool)
  assert.equal(status, 0, stderr)
  assert.notEqual(qemuPid(name), pid)
  assert.deepEqual(await schedules(), before)
  assert.deepEqual(readProcessLimits(qemuPid(name)), limits)
  await machine.vm.serial.moreTicks(2)
  assert.equal(machine.vm.serial.findBreak(), undefined)
})

test('a port that another process has taken meanwhile is reported, and the guest runs on', async (t) => {
  const qemu = moodyQemu(scratchFolder(t))
  const machine = await startMachine(t, 'taken', {
    qemu: qemu.path,
    options: quitFirst(scratchFolder(t)),
  })
  await human(machine.vm.name, 'hostfwd_add net0 tcp:127.0.0.1:22024-:22')
  await leaveSaved(machine.pool, qemu)
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

test('a QEMU that was moved into another cgroup has its next one there', async (t) => {
  const machine = await startMachine(t, 'moved')
  const { name } = machine.vm
  // A host with both versions has this one below /sys/fs/cgroup/unified.
  const root = mountTable().find(({ type }) => type === 'cgroup2')?.target
  assert.ok(root !== undefined)
  const path = `/moved-${process.pid}`
  mkdirSync(join(root, path))
  // After the end of the guest.
  t.after(() => rmdirSync(join(root, path)))
  assert.equal(joinCgroup(qemuPid(name), path), undefined)
  for (let update = 0; update < 2; update++) {
    await expectUpdated(machine)
    assert.equal(cgroupOf(qemuPid(name)), path)
  }
})
