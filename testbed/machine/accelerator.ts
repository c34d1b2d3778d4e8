/**
 * The choice between KVM and emulation for the host. A /dev/kvm that opens proves nothing (some sandboxes
 * have one that runs no instruction), so this runs a boot sector on it. The host needs KVM inside as well, so
 * nesting must be on.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CommandError, command } from '../command.ts'
import type { QemuProgram } from '../debian/qemu.ts'

export type Accelerator = 'kvm' | 'tcg'

const PROBE_TIMEOUT_MS = 5000
const DEBUG_EXIT_PORT = 0xf4
const ANSWER = 0x2a
/** isa-debug-exit ends QEMU with `value << 1 | 1`. */
const EXPECTED_EXIT = (ANSWER << 1) | 1

/** `scratch`: a folder for the probe's disk. */
export async function chooseAccelerator(qemu: QemuProgram, scratch: string): Promise<Accelerator> {
  const nests = ['kvm_intel', 'kvm_amd'].some((module) => /^[Y1]/.test(readParameter(module)))
  return nests && (await kvmRuns(qemu, scratch)) ? 'kvm' : 'tcg'
}

function readParameter(module: string): string {
  try {
    return readFileSync(`/sys/module/${module}/parameters/nested`, 'utf8')
  } catch {
    return '' // the module is not loaded
  }
}

async function kvmRuns(qemu: QemuProgram, scratch: string): Promise<boolean> {
  const sector = Buffer.alloc(512)
  // mov al, ANSWER; out DEBUG_EXIT_PORT, al; hlt; and the boot signature
  sector.set([0xb0, ANSWER, 0xe6, DEBUG_EXIT_PORT, 0xf4])
  sector.set([0x55, 0xaa], 510)
  const disk = join(scratch, 'kvm-probe')
  writeFileSync(disk, sector)
  const machine = ['-nodefaults', '-no-user-config', '-display', 'none', '-machine', 'pc', '-accel', 'kvm']
  const devices = ['-device', `isa-debug-exit,iobase=${DEBUG_EXIT_PORT}`, '-drive', `file=${disk},format=raw`]
  try {
    await command(qemu.program, [...qemu.args, ...machine, ...devices], {
      env: qemu.env,
      timeoutMs: PROBE_TIMEOUT_MS,
    })
    return false
  } catch (error) {
    return ((error as CommandError).cause as { code?: unknown }).code === EXPECTED_EXIT
  }
}
