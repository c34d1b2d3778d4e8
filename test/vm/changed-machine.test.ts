/**
 * Tests that an update loses no change of a machine: the preflight finds every change that was made over the
 * monitor, refuses it by name before the guest is paused, and the guest goes on.
 */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { vmPaths } from '../../src/run/vm-runtime.ts'
import { expectRefused, expectUpdated, type Machine, setProperty, startMachine } from './refused-changes.ts'
import { monitor, mountVmPool, startTinyVm, updateVmm } from './support.ts'

interface Change {
  readonly what: string
  readonly make: (machine: Machine) => Promise<unknown>
  readonly words: RegExp
  readonly undo: (machine: Machine) => Promise<unknown>
}

const CHANGES: readonly Change[] = [
  {
    what: 'a network backend that was added',
    make: ({ vm, folder }) =>
      monitor(vm.name, 'netdev_add', {
        ...{ type: 'stream', id: 'net1', server: true, addr: { type: 'unix', path: join(folder, 'net1') } },
      }),
    words: /network backend net1 was added while it ran \(stream/,
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
    what: 'an export',
    make: async ({ vm, folder }) => {
      const addr = { type: 'unix', data: { path: join(folder, 'nbd') } }
      await monitor(vm.name, 'nbd-server-start', { addr })
      await monitor(vm.name, 'block-export-add', { type: 'nbd', id: 'export0', 'node-name': 'disk0' })
    },
    words: /export of a disk export0 was added while it ran \(nbd of disk0\): end it/,
    undo: ({ vm }) => monitor(vm.name, 'block-export-del', { id: 'export0' }),
  },
  {
    what: 'the policy of an object',
    make: ({ vm }) => setProperty(vm.name, 'list0', 'policy', 'allow'),
    words: /property of an object list0 was changed while it ran \(policy = "deny", now policy = "allow"\)/,
    undo: ({ vm }) => setProperty(vm.name, 'list0', 'policy', 'deny'),
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

test('RAM that QEMU would discard when it ends is refused by name, whether its start was read or not', async (t) => {
  const machine = await startMachine(t, 'discarded')
  const { name } = machine.vm
  await setProperty(name, 'ram', 'discard-data', true)
  const words = /64M of its RAM \(\S+, 'ram'\) would be destroyed with the end of its QEMU: 'qom-set/
  await expectRefused(machine, words)
  rmSync(vmPaths(name).machine)
  await expectRefused(machine, words)
  await setProperty(name, 'ram', 'discard-data', false)
  assert.equal((await updateVmm(machine.pool)).status, 0)
  await machine.vm.serial.moreTicks(2)
  assert.equal(machine.vm.serial.findBreak(), undefined)
})

test('what was plugged without an id, or with a backend that does not report all, is refused by name', async (t) => {
  const machine = await startMachine(t, 'plugged')
  await monitor(machine.vm.name, 'netdev_add', { type: 'user', id: 'net1', net: '10.9.0.0/16' })
  await monitor(machine.vm.name, 'device_add', {
    ...{ driver: 'virtio-net-pci', id: 'nic1', bus: 'port0', netdev: 'net1' },
  })
  await expectRefused(
    machine,
    /network backend net1 was plugged: QEMU does not report the mask of net=10\.9\.0\.0/,
  )

  const other = await startMachine(t, 'no-id')
  await monitor(other.vm.name, 'device_add', { driver: 'virtio-rng-pci', bus: 'port0' })
  await expectRefused(other, /device virtio-rng-pci number 1 was added while it ran/)
})

test('what was done after an update is seen by the next one', async (t) => {
  const machine = await startMachine(t, 'again')
  await expectUpdated(machine)
  await monitor(machine.vm.name, 'chardev-add', { id: 'char1', backend: { type: 'null', data: {} } })
  await expectRefused(machine, /character device or I\/O thread char1 was added/)
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

test('the numbers that firmware gives to buses are no change of the machine', async (t) => {
  const pool = await mountVmPool(t)
  const options = ['-device', 'pcie-root-port,id=port0', '-device', 'virtio-rng-pci,id=rng0,bus=port0']
  const vm = await startTinyVm(t, pool, 'numbered', { options })
  const tree = String(await monitor(vm.name, 'human-monitor-command', { 'command-line': 'info qtree' }))
  assert.match(tree.slice(tree.indexOf('id "rng0"')), /^[^:]*busnr = 1 /, 'firmware has numbered the bus')
  const { status, stderr } = await updateVmm(pool)
  assert.deepEqual([status, stderr], [0, ''])
  await vm.serial.moreTicks(2)
  assert.equal(vm.serial.findBreak(), undefined)
})
