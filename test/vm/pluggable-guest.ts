/** A guest with free slots for DIMMs, which accepts that they are unplugged, and what tests do to it. */
import assert from 'node:assert/strict'
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { buildTinyGuest } from '../../testbed/guests/tiny-guest.ts'
import { type TestPool, until } from '../mount/support.ts'
import { Serial } from './serial.ts'
import {
  monitor,
  mountVmPool,
  QEMU,
  ramOptions,
  runVm,
  SMALL_MACHINE,
  scratchFolder,
  storeBytes,
  type TestVm,
  type VmPool,
  vmName,
} from './support.ts'

const SLOTS = 4
export const DIMM_BYTES = 64 << 20
/** Within a DIMM. */
export const AT = 0x1234000

export interface Pluggable {
  readonly pool: VmPool
  readonly vm: TestVm
  readonly serial: Serial
}

/** A guest with free slots for DIMMs, which it releases when QEMU asks it to. */
export async function startPluggable(
  t: TestContext,
  word: string,
  more: { qemu?: string; options?: string[]; runOptions?: string[]; pool?: VmPool } = {},
): Promise<Pluggable> {
  const pool = more.pool ?? (await mountVmPool(t, '640M'))
  const folder = scratchFolder(t)
  const [kernel, output] = [join(folder, 'guest.bin'), join(folder, 'serial')]
  writeFileSync(kernel, buildTinyGuest({ mebibytes: 8, pace: 1, memorySlots: SLOTS }))
  writeFileSync(output, '')
  const ram = ramOptions(pool.path(word)).map((each) =>
    each === '64M' ? `64M,slots=${SLOTS},maxmem=2G` : each,
  )
  const line = [
    ...[more.qemu ?? QEMU, ...SMALL_MACHINE, ...ram, '-kernel', kernel],
    ...[
      '-chardev',
      `file,id=log,path=${output},append=on`,
      '-serial',
      'chardev:log',
      ...(more.options ?? []),
    ],
  ]
  const vm = runVm(pool, folder, vmName(word), pool.path(word), more.runOptions ?? [], line)
  const serial = new Serial(output)
  await Promise.race([serial.until(2), vm.ended.then(() => assert.fail(vm.errors()))])
  return { pool, vm, serial }
}

export const addObject = (name: string, id: string, more: object): Promise<unknown> =>
  monitor(name, 'object-add', {
    'qom-type': 'memory-backend-file',
    id,
    size: DIMM_BYTES,
    share: true,
    ...more,
  })

export const plugDimm = (name: string, id: string, memdev: string, more: object = {}): Promise<unknown> =>
  monitor(name, 'device_add', { driver: 'pc-dimm', id, memdev, ...more })

/** As the operator does it: the file, the memory, the DIMM. */
export async function plugFile(pool: TestPool, name: string, id: string): Promise<string> {
  const path = pool.path(id)
  writeFileSync(path, '')
  truncateSync(path, DIMM_BYTES)
  await addObject(name, `memory-${id}`, { 'mem-path': path })
  await plugDimm(name, id, `memory-${id}`)
  return path
}

interface Dimm {
  readonly data: {
    readonly id: string
    readonly addr: number
    readonly slot: number
    readonly memdev: string
  }
}
export const dimmsOf = async (name: string): Promise<Dimm['data'][]> =>
  ((await monitor(name, 'query-memory-devices')) as Dimm[]).map(({ data: { id, addr, slot, memdev } }) => ({
    id,
    addr,
    slot,
    memdev,
  }))

/** As the guest would read it. */
export async function word(name: string, address: number): Promise<string> {
  const line = `xp /1wx ${address}`
  return String(await monitor(name, 'human-monitor-command', { 'command-line': line }))
    .trim()
    .split(' ')
    .at(-1) as string
}

export async function unplug(name: string, id: string): Promise<void> {
  await monitor(name, 'device_del', { id })
  await until(`${id} is gone`, async () => !(await dimmsOf(name)).some((dimm) => dimm.id === id))
  await monitor(name, 'object-del', { id: `memory-${id}` })
}

/** `QEMU`, as a little-endian word. */
export const SIGNATURE = '0x554d4551'
/** In the guest's RAM, beyond what it uses. */
const REQUEST_AT = 0x3f00000

const bigEndian = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, at) => Math.floor(value / 2 ** (8 * (bytes - 1 - at))) % 256)

/**
 * Has QEMU's firmware device copy its signature to an address of the guest, as firmware would
 * (FWCfgDmaAccess, docs/specs/fw_cfg.rst in QEMU): memory that is in no file can be written from outside in
 * no other way.
 */
export async function storeSignature({ name, ramFile }: TestVm, address: number): Promise<void> {
  const [selectAndRead, lengthBytes] = [0x0a, 4]
  const request = [...bigEndian(selectAndRead, 4), ...bigEndian(lengthBytes, 4), ...bigEndian(address, 8)]
  await storeBytes(ramFile, REQUEST_AT, ...request)
  const swapped = Buffer.from(bigEndian(REQUEST_AT, 4)).readUInt32LE()
  for (const line of ['o/4 0x514 0', `o/4 0x518 ${swapped}`])
    await monitor(name, 'human-monitor-command', { 'command-line': line })
}
