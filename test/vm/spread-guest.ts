/** A guest whose RAM lies in two pools, each a NUMA node, and what tests do to it. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { buildTinyGuest } from '../../testbed/guests/tiny-guest.ts'
import { mountTestPool, type TestPool } from '../mount/support.ts'
import { moodyQemu } from './fake-qemu.ts'
import { leaveSaved } from './leave-saved.ts'
import { Serial } from './serial.ts'
import {
  mountVmPool,
  QEMU,
  quitFirst,
  runVm,
  SMALL_MACHINE,
  scratchFolder,
  type TestVm,
  type VmPool,
  vmName,
} from './support.ts'

/** Of each of the two NUMA nodes. */
const NODE = '64M'
/** More than the first node has, from 2 MiB up. */
const CHECKED_MEBIBYTES = 112

export interface Spread {
  readonly vm: TestVm
  readonly first: VmPool
  readonly second: TestPool
  /** In a file, which outlives a QEMU. */
  readonly serial: Serial
}

export const node = (index: number, path: string): string[] => [
  ...['-object', `memory-backend-file,id=ram${index},size=${NODE},mem-path=${path},share=on`],
  ...['-numa', `node,nodeid=${index},memdev=ram${index}`],
]

/** A guest that checks its RAM in both pools, in 2 MiB pages of both. */
export async function startSpread(t: TestContext, word: string, qemu: string = QEMU): Promise<Spread> {
  const first = await mountVmPool(t)
  const second = await mountTestPool(t, { size: '128M' })
  const folder = scratchFolder(t)
  const [kernel, output] = [join(folder, 'guest.bin'), join(folder, 'serial')]
  writeFileSync(kernel, buildTinyGuest({ mebibytes: CHECKED_MEBIBYTES, strideBytes: 4096 }))
  writeFileSync(output, '')
  const line = [
    ...[qemu, ...SMALL_MACHINE, '-m', '128M', '-kernel', kernel],
    ...[...node(0, first.path(word)), ...node(1, second.path(word))],
    ...['-chardev', `file,id=log,path=${output},append=on`, '-serial', 'chardev:log'],
    ...(qemu === QEMU ? [] : quitFirst(folder)),
  ]
  const also = ['--pool', second.mountPoint]
  const vm = runVm(first, folder, vmName(word), first.path(word), also, line)
  const serial = new Serial(output)
  const over = vm.ended.then(() => assert.fail(vm.errors()))
  await Promise.race([serial.until(1), over])
  return { vm, first, second, serial }
}

/** `save`: an update after which no QEMU runs the guest. */
export async function startSavable(
  t: TestContext,
  word: string,
): Promise<Spread & { save: () => Promise<void> }> {
  const qemu = moodyQemu(scratchFolder(t))
  const spread = await startSpread(t, word, qemu.path)
  const save = async () => {
    await leaveSaved(spread.first, qemu)
  }
  return { ...spread, save }
}

export async function goesOn({ serial }: Spread): Promise<void> {
  await serial.moreTicks(2)
  assert.equal(serial.findBreak(), undefined)
}

/** A QEMU in the background that never runs its guest. */
export const oneNode = (path: string): string[] => [
  ...[QEMU, ...SMALL_MACHINE, '-S', '-daemonize', '-m', NODE],
  ...['-object', `memory-backend-file,id=ram,size=${NODE},mem-path=${path},share=on`],
]
