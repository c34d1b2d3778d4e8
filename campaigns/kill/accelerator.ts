/**
 * The choice between KVM and emulation for the guests of a campaign: in an emulated host an emulated guest is
 * too slow. A /dev/kvm that opens proves nothing, and one that runs a few instructions little more: kvm-pvm
 * starts a guest and fails on its first `iret`. So the guest itself is run on it, without a pool.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { QEMU, SMALL_MACHINE } from '../../test/vm/support.ts'
import { readTicks } from '../../testbed/guests/ticks.ts'
import { buildTinyGuest } from '../../testbed/guests/tiny-guest.ts'

export type Accelerator = 'kvm' | 'tcg'

/** In an emulated host too, where QEMU takes seconds to start. */
const PROBE_TIMEOUT_MS = 30_000

let chosen: Promise<Accelerator> | undefined

/** Found out once in each process. */
export function guestAccelerator(): Promise<Accelerator> {
  chosen ??= kvmRunsTheGuest().then((runs) => (runs ? 'kvm' : 'tcg'))
  return chosen
}

/** The options of a small machine with that accelerator. */
export const machineWith = (accelerator: Accelerator): string[] =>
  SMALL_MACHINE.map((word) => (word === 'tcg' ? accelerator : word))

/** Whether it prints two ticks before QEMU ends, complains, or the time is over. */
async function kvmRunsTheGuest(): Promise<boolean> {
  if (!existsSync('/dev/kvm')) return false
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-kvm-'))
  const kernel = join(folder, 'guest.bin')
  writeFileSync(kernel, buildTinyGuest({ mebibytes: 1, seed: 1, pace: 1 }))
  const options = [...machineWith('kvm'), '-m', '32M', '-kernel', kernel, '-serial', 'stdio']
  const qemu = spawn(QEMU, options, { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(qemu, 'close')
  let [output, complaint] = ['', '']
  qemu.stdout.setEncoding('latin1').on('data', (text: string) => {
    output += text
    if (readTicks(output).length > 1) qemu.kill('SIGKILL')
  })
  // QEMU prints an internal error of KVM, and keeps the guest stopped.
  qemu.stderr.setEncoding('latin1').on('data', (text: string) => {
    complaint += text
    if (isInternalError(complaint)) qemu.kill('SIGKILL')
  })
  const timer = setTimeout(() => qemu.kill('SIGKILL'), PROBE_TIMEOUT_MS)
  await ended
  clearTimeout(timer)
  rmSync(folder, { recursive: true })
  return readTicks(output).length > 1
}

/** Whether QEMU's standard error tells that KVM could not go on with the guest. */
export const isInternalError = (text: string): boolean => /KVM internal error|emulation failure/i.test(text)
