/**
 * The choice between KVM and emulation for the guests of a campaign: in an emulated host an emulated guest is
 * too slow.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { QEMU, SMALL_MACHINE } from '../../test/vm/support.ts'
import { type Accelerator, kvmRunsGuest } from '../../testbed/guests/kvm-probe.ts'

/** In an emulated host too, where QEMU takes seconds to start. */
const PROBE_TIMEOUT_MS = 30_000

let chosen: Promise<Accelerator> | undefined

/** Found out once in each process. */
export function guestAccelerator(): Promise<Accelerator> {
  chosen ??= choose()
  return chosen
}

async function choose(): Promise<Accelerator> {
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-kvm-'))
  try {
    const runs = await kvmRunsGuest({ program: QEMU, args: [], env: {} }, folder, PROBE_TIMEOUT_MS)
    return runs ? 'kvm' : 'tcg'
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The options of a small machine with that accelerator. */
export const machineWith = (accelerator: Accelerator): string[] =>
  SMALL_MACHINE.map((word) => (word === 'tcg' ? accelerator : word))
