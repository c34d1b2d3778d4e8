/**
 * Tests that what was set in a QEMU that runs, and that no command line can express, is refused by name, or
 * set again: sockets, cache modes, boot order, VNC, histograms, properties of main-loop.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { image } from './carried-changes.ts'
import { expectRefused, expectUpdated, setProperty, startMachine } from './refused-changes.ts'
import { monitor, qemuPid, scratchFolder, updateVmm } from './support.ts'

test('a socket at another address, another cache mode, a histogram, a place in the boot order', async (t) => {
  const folder = scratchFolder(t)
  const [first, second] = [join(folder, 'first'), join(folder, 'second')]
  const machine = await startMachine(t, 'set', {
    options: [
      ...['-chardev', `socket,id=sock0,path=${first},server=on,wait=off`, '-serial', 'chardev:sock0'],
      ...['-blockdev', `driver=file,node-name=file9,filename=${image(folder, 'nine.raw', 9)}`],
      ...['-device', 'virtio-blk-pci,drive=file9'],
    ],
  })
  const { name } = machine.vm
  const listen = (path: string) =>
    monitor(name, 'chardev-change', {
      id: 'sock0',
      backend: {
        type: 'socket',
        data: { addr: { type: 'unix', data: { path } }, server: true, wait: false },
      },
    })
  const cache = (noFlush: boolean) =>
    monitor(name, 'blockdev-reopen', {
      options: [{ driver: 'raw', 'node-name': 'disk0', file: 'file0', cache: { 'no-flush': noFlush } }],
    })
  const histogram = (more: object) =>
    monitor(name, 'block-latency-histogram-set', { id: '/machine/peripheral/vd0/virtio-backend', ...more })
  const bootIndex = (value: number) =>
    monitor(name, 'qom-set', { path: '/machine/peripheral-anon/device[0]', property: 'bootindex', value })
  const changes: [() => Promise<unknown>, RegExp, () => Promise<unknown>][] = [
    [
      () => listen(second),
      /address of a socket sock0 was changed while it ran .*second/,
      () => listen(first),
    ],
    [() => cache(true), /cache mode of an image disk0 was changed .*no-flush true/, () => cache(false)],
    [
      () => histogram({ boundaries: [10, 50] }),
      /setting of a QEMU that runs rd_latency_histogram of \S+vd0\S+ was added .*\(10 50\)/,
      () => histogram({}),
    ],
    [
      () => bootIndex(5),
      /setting of a QEMU that runs place in the boot order of device\[0\] was added .*\(5\): set it back/,
      () => bootIndex(-1),
    ],
  ]
  for (const [change, words, undo] of changes) {
    await change()
    await expectRefused(machine, words)
    await undo()
  }
  await expectUpdated(machine)
})

test('VNC at another address', async (t) => {
  const machine = await startMachine(t, 'vnc', { options: ['-vnc', '127.0.0.1:77'] })
  const show = (port: number) =>
    monitor(machine.vm.name, 'display-update', {
      type: 'vnc',
      addresses: [{ type: 'inet', host: '127.0.0.1', port: String(port) }],
    })
  await show(5978)
  await expectRefused(machine, /setting of a QEMU that runs VNC default was changed .*:5977.*:5978/)
  await show(5977)
  assert.equal((await updateVmm(machine.pool)).status, 0)
})

test('a file that QEMU was told to open while it ran is named, and the guest is updated', async (t) => {
  const machine = await startMachine(t, 'log')
  const { name } = machine.vm
  const file = join(scratchFolder(t), 'said-by-qemu')
  const human = (line: string) => monitor(name, 'human-monitor-command', { 'command-line': line })
  const quiet = await updateVmm(machine.pool)
  assert.doesNotMatch(quiet.stderr, / open, which neither /)
  await human(`logfile ${file}`)
  await human('log guest_errors')
  const { status, stderr } = await updateVmm(machine.pool)
  assert.equal(status, 0, stderr)
  assert.match(
    stderr,
    new RegExp(`its QEMU has ${file} open, which neither its command line nor its machine names`),
  )
})

test('properties of main-loop and of a thread-context are set again', async (t) => {
  const machine = await startMachine(t, 'loop', {
    options: ['-object', 'main-loop,id=loop0,thread-pool-min=32', '-object', 'thread-context,id=context0'],
  })
  const { name } = machine.vm
  const get = (object: string, property: string) =>
    monitor(name, 'qom-get', { path: `/objects/${object}`, property })
  const properties = async () => [
    await get('loop0', 'aio-max-batch'),
    await get('loop0', 'thread-pool-min'),
    await get('loop0', 'thread-pool-max'),
    await get('context0', 'cpu-affinity'),
  ]
  await setProperty(name, 'loop0', 'aio-max-batch', 5)
  await setProperty(name, 'loop0', 'thread-pool-min', 8)
  await setProperty(name, 'loop0', 'thread-pool-max', 16)
  await setProperty(name, 'context0', 'cpu-affinity', [0])
  const before = await properties()
  assert.deepEqual(before, [5, 8, 16, [0]])
  for (const _ of [1, 2]) {
    const pid = qemuPid(name)
    const { status, stderr } = await updateVmm(machine.pool)
    assert.equal(status, 0, stderr)
    assert.notEqual(qemuPid(name), pid)
    assert.deepEqual(await properties(), before)
  }
})
