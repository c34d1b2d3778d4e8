/**
 * Whether KVM runs the tiny guest. A /dev/kvm that opens proves nothing (some sandboxes have one that runs no
 * instruction), and one that runs a few little more: kvm-pvm starts a guest, and fails on its first `iret`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readTicks } from './ticks.ts'
import { buildTinyGuest } from './tiny-guest.ts'

export type Accelerator = 'kvm' | 'tcg'

export interface QemuCommand {
  readonly program: string
  /** Before all others. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

const MACHINE = ['-machine', 'q35', '-display', 'none', '-nodefaults', '-no-user-config', '-no-reboot']

/**
 * Whether it prints two ticks before QEMU ends, complains, or the time is over. `scratch`: for its kernel.
 */
export async function kvmRunsGuest(
  { program, args, env }: QemuCommand,
  scratch: string,
  timeoutMs: number,
): Promise<boolean> {
  if (!existsSync('/dev/kvm')) return false
  const kernel = join(scratch, 'kvm-probe')
  writeFileSync(kernel, buildTinyGuest({ mebibytes: 1, seed: 1, pace: 1 }))
  const guest = ['-accel', 'kvm', '-m', '32M', '-kernel', kernel, '-serial', 'stdio']
  const qemu = spawn(program, [...args, ...MACHINE, ...guest], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
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
  const timer = setTimeout(() => qemu.kill('SIGKILL'), timeoutMs)
  await ended
  clearTimeout(timer)
  return readTicks(output).length > 1
}

/** Whether QEMU's standard error tells that KVM could not go on with the guest. */
export const isInternalError = (text: string): boolean => /KVM internal error|emulation failure/i.test(text)
