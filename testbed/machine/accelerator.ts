/**
 * The choice between KVM and emulation for the host. The host needs KVM inside as well, so nesting must be
 * on.
 */
import { readFileSync } from 'node:fs'
import type { QemuProgram } from '../debian/qemu.ts'
import { type Accelerator, kvmRunsGuest } from '../guests/kvm-probe.ts'

const PROBE_TIMEOUT_MS = 5000

/** `scratch`: a folder for the probe's guest. */
export async function chooseAccelerator(qemu: QemuProgram, scratch: string): Promise<Accelerator> {
  const nests = ['kvm_intel', 'kvm_amd'].some((module) => /^[Y1]/.test(readParameter(module)))
  return nests && (await kvmRunsGuest(qemu, scratch, PROBE_TIMEOUT_MS)) ? 'kvm' : 'tcg'
}

function readParameter(module: string): string {
  try {
    return readFileSync(`/sys/module/${module}/parameters/nested`, 'utf8')
  } catch {
    return '' // the module is not loaded
  }
}
