/** Changes of a running guest over its monitor: each with the state that it needs, and some with an undo. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../src/fs/image/testing/random.ts'
import { commit } from '../../test/vm/carried-changes.ts'
import { CHUNK, CHUNKS, type ChangedVm, schedule } from './changed-vm.ts'

export interface Done {
  readonly what: string
  /** An update refuses the machine until this has undone the change. */
  readonly undo?: () => Promise<unknown>
}

/** undefined: the guest's present state does not allow it. */
export type Change = (vm: ChangedVm, state: State, random: Random) => Promise<Done | undefined>

/** State of one guest that QEMU does not report. */
export interface State {
  /** The number for the next id: no id is used twice. */
  next: number
  readonly overlays: { disk0: string[]; drive1: number; virtio0: number }
  /** User networks that were added. */
  networks: number
  readonly scsi: Set<string>
  readonly ports: Map<string, string>
  readonly processors: Map<number, string>
  /** Ids of DIMMs. */
  readonly dimms: Set<string>
}

export const emptyState = (): State => ({
  next: 0,
  overlays: { disk0: [], drive1: 0, virtio0: 0 },
  networks: 0,
  scsi: new Set(),
  ports: new Map(),
  processors: new Map(),
  dimms: new Set(),
})

const MOST_OVERLAYS = 4
const MOST_DIMMS = 3
const DIMM_BYTES = 4 << 20
const pick = <T>(random: Random, items: readonly T[]): T | undefined => items[random.below(items.length)]

/** Repeats `work` until QEMU has released the device. */
async function untilGone(work: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; ; tries++) {
    const failed = await work().then(
      () => undefined,
      (error: unknown) => error,
    )
    if (failed === undefined) return
    if (tries === 100) throw failed
    await sleep(50)
  }
}

const snapshot = (vm: ChangedVm, parameters: object): Promise<unknown> =>
  vm.command('blockdev-snapshot-sync', { format: 'qcow2', 'snapshot-file': vm.newPath(), ...parameters })

const CHANGES: Readonly<Record<string, Change>> = {
  async 'write to a disk'(vm, _state, random) {
    const device = pick(
      random,
      [...vm.disks.keys()].filter((id) => !id.startsWith('cd')),
    ) as string
    const [at, byte] = [random.below(CHUNKS), random.below(256)]
    await vm.io(device, `write -P ${byte} ${at * CHUNK} ${CHUNK}`)
    ;(vm.disks.get(device) as Uint8Array)[at] = byte
    return { what: `${device}[${at}] = ${byte}` }
  },
  async 'snapshot a disk'(vm, { overlays }, random) {
    if (overlays.disk0.length >= MOST_OVERLAYS) return undefined
    const name = `over${overlays.disk0.length}-${random.below(1e6)}`
    await snapshot(vm, { 'node-name': overlays.disk0.at(-1) ?? 'disk0', 'snapshot-node-name': name })
    overlays.disk0.push(name)
    return { what: name }
  },
  async 'snapshot a drive'(vm, { overlays }) {
    if (overlays.drive1 >= MOST_OVERLAYS) return undefined
    await snapshot(vm, { device: 'drive1' })
    overlays.drive1++
    return { what: `drive1, overlay ${overlays.drive1}` }
  },
  async 'snapshot a drive without an id'(vm, { overlays }) {
    if (overlays.virtio0 >= MOST_OVERLAYS) return undefined
    await snapshot(vm, { device: 'virtio0' })
    overlays.virtio0++
    return { what: `virtio0, overlay ${overlays.virtio0}` }
  },
  async 'commit all overlays'(vm, { overlays }) {
    const top = overlays.disk0.at(-1)
    if (top === undefined) return undefined
    await commit(vm.name, top, 'disk0')
    // Also one that an update has put into the line.
    const nodes = (await vm.command('query-named-block-nodes', { flat: true })) as { 'node-name': string }[]
    const left = nodes.find((node) => overlays.disk0.includes(node['node-name']))
    if (left !== undefined) throw new Error(`${left['node-name']} is there after its commit`)
    overlays.disk0.length = 0
    return { what: top }
  },
  async 'insert a medium'(vm, _state, random) {
    const id = pick(random, ['cdrom0', 'cdrom1']) as string
    await vm.command('blockdev-change-medium', { id, filename: vm.image(id), format: 'raw', force: true })
    return { what: id }
  },
  async 'eject a medium'(vm, _state, random) {
    const id = pick(
      random,
      ['cdrom0', 'cdrom1'].filter((drive) => vm.disks.has(drive)),
    )
    if (id === undefined) return undefined
    await vm.command('eject', { id, force: true })
    vm.disks.delete(id)
    return { what: id }
  },
  async 'plug a disk'(vm, state) {
    if (state.scsi.size >= 3) return undefined
    const id = `sd${state.next++}`
    const file = { driver: 'file', filename: vm.image(id) }
    await vm.command('blockdev-add', { driver: 'raw', 'node-name': `node-${id}`, file })
    await vm.command('device_add', {
      ...{ driver: 'scsi-hd', id, bus: 'scsi0.0', drive: `node-${id}`, serial: `serial-${id}` },
    })
    state.scsi.add(id)
    return { what: id }
  },
  async 'unplug a disk'(vm, state, random) {
    const id = pick(random, [...state.scsi])
    if (id === undefined) return undefined
    await vm.command('device_del', { id })
    await untilGone(() => vm.command('blockdev-del', { 'node-name': `node-${id}` }))
    state.scsi.delete(id)
    vm.disks.delete(id)
    return { what: id }
  },
  async 'plug into a port'(vm, state, random) {
    const port = pick(
      random,
      vm.ports.filter((each) => !state.ports.has(each)),
    )
    if (port === undefined) return undefined
    const id = `pci${state.next++}`
    const driver = pick(random, ['virtio-rng-pci', 'virtio-scsi-pci', 'nec-usb-xhci', 'virtio-serial-pci'])
    await vm.command('device_add', { driver, id, bus: port })
    state.ports.set(port, id)
    return { what: `${driver} ${id}` }
  },
  async 'plug a processor'(vm, state, random) {
    const core = pick(
      random,
      [1, 2, 3].filter((each) => !state.processors.has(each)),
    )
    if (core === undefined) return undefined
    const id = `cpu${state.next++}`
    await vm.command('device_add', {
      ...{ driver: 'qemu64-x86_64-cpu', id, 'socket-id': 0, 'core-id': core, 'thread-id': 0 },
    })
    state.processors.set(core, id)
    return { what: `${id} at ${core}` }
  },
  async 'plug a DIMM'(vm, state, random) {
    if (state.dimms.size >= MOST_DIMMS) return undefined
    const id = `dimm${state.next++}`
    const isFile = random.below(3) > 0
    const memory = isFile
      ? {
          'qom-type': 'memory-backend-file',
          'mem-path': vm.dimmFile(id, DIMM_BYTES, 1 + random.below(255)),
          share: true,
        }
      : { 'qom-type': 'memory-backend-ram' }
    await vm.command('object-add', { ...memory, id: `memory-${id}`, size: DIMM_BYTES })
    await vm.command('device_add', { driver: 'pc-dimm', id, memdev: `memory-${id}` })
    state.dimms.add(id)
    return { what: `${id}, ${isFile ? 'a file' : 'private'}` }
  },
  async 'unplug a DIMM'(vm, state, random) {
    const id = pick(random, [...state.dimms])
    if (id === undefined) return undefined
    await vm.command('device_del', { id })
    // The guest looks for such a request once a pass.
    await untilGone(() => vm.command('object-del', { id: `memory-${id}` }))
    state.dimms.delete(id)
    vm.dropDimm(id)
    return { what: id }
  },
  async 'limit a disk'(vm, _state, random) {
    const values = { bps: random.below(3) << 20, bps_rd: 0, bps_wr: 0, iops: 0, iops_rd: 0, iops_wr: 0 }
    await vm.command('block_set_io_throttle', { id: '/machine/peripheral/vd1/virtio-backend', ...values })
    return { what: String(values.bps) }
  },
  async 'forward a port'(vm, state) {
    const port = 42_000 + state.next++
    const said = await vm.human(`hostfwd_add net0 tcp:127.0.0.1:${port}-:22`)
    return said.trim() === '' ? { what: String(port) } : undefined
  },
  async 'set a link'(vm, _state, random) {
    const up = random.below(2) === 0
    await vm.command('set_link', { name: 'nic0', up })
    return { what: up ? 'up' : 'down' }
  },
  async 'schedule a thread'(vm, _state, random) {
    const threads = (await vm.command('query-cpus-fast')) as { 'thread-id': number }[]
    const tid = String(pick(random, threads)?.['thread-id'])
    schedule('renice', '-n', String(random.below(10)), '-p', tid)
    if (random.below(2) === 0) schedule('taskset', '-cp', '0', tid)
    return { what: tid }
  },
  async 'add a bitmap'(vm, state) {
    const [node, name] = [state.overlays.disk0.at(-1) ?? 'disk0', `bitmap${state.next++}`]
    await vm.command('block-dirty-bitmap-add', { node, name })
    return { what: name, undo: () => vm.command('block-dirty-bitmap-remove', { node, name }) }
  },
  async 'begin a backup'(vm, state) {
    const device = state.overlays.disk0.at(-1) ?? 'disk0'
    const job = { 'job-id': 'backup', device, sync: 'full', format: 'raw', speed: 1 }
    await vm.command('drive-backup', { ...job, target: vm.newPath() })
    const isOver = async () => {
      if (((await vm.command('query-jobs')) as unknown[]).length > 0) throw new Error('the job is there')
    }
    const undo = async () => {
      await vm.command('block-job-cancel', { device: 'backup', force: true })
      await untilGone(isOver)
    }
    return { what: device, undo }
  },
  async 'add an object'(vm, state) {
    const id = `secret${state.next++}`
    await vm.command('object-add', { 'qom-type': 'secret', id, data: 'x' })
    return { what: id, undo: () => vm.command('object-del', { id }) }
  },
  async 'export a disk'(vm, state) {
    const id = `export${state.next++}`
    await vm.command('nbd-server-start', { addr: { type: 'unix', data: { path: vm.newPath() } } })
    await vm.command('block-export-add', { type: 'nbd', id, 'node-name': 'file0' })
    return { what: id, undo: () => vm.command('nbd-server-stop') }
  },
  async 'add a user network'(vm, state, random) {
    if (state.networks >= 3) return undefined
    const id = `net${1 + state.next++}`
    await vm.command('netdev_add', { type: 'user', id, restrict: random.below(2) === 0 })
    state.networks++
    return { what: id }
  },
  async 'limit a throttle-group'(vm, _state, random) {
    const value = { 'bps-total': (1 + random.below(9)) << 20 }
    await vm.command('qom-set', { path: '/objects/group0', property: 'limits', value })
    return { what: JSON.stringify(value) }
  },
  async 'poll in an I/O thread'(vm, _state, random) {
    const value = random.below(50_000)
    await vm.command('qom-set', { path: '/objects/thread0', property: 'poll-max-ns', value })
    return { what: String(value) }
  },
  async 'order the boot'(vm, state, random) {
    // QEMU refuses a place that is taken: 0 by -kernel, others by the device itself.
    const value = random.below(4) === 0 ? -1 : 1 + state.next++
    await vm.command('qom-set', { path: '/machine/peripheral/vd1', property: 'bootindex', value })
    return { what: String(value) }
  },
  async 'set a write threshold'(vm, _state, random) {
    const bytes = random.below(1 << 20)
    await vm.command('block-set-write-threshold', { 'node-name': 'file0', 'write-threshold': bytes })
    return { what: String(bytes) }
  },
}

/** Makes a change that is possible now; returns it with its name. */
export async function changeAtRandom(vm: ChangedVm, state: State, random: Random): Promise<Done> {
  for (;;) {
    const name = pick(random, Object.keys(CHANGES)) as string
    const done = await CHANGES[name]?.(vm, state, random)
    if (done !== undefined) return { ...done, what: `${name} (${done.what})` }
  }
}
