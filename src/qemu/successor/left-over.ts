/**
 * QEMUs that an update left because its command and the VM's supervisor were both killed: one that waits for
 * the guest and does not have it, or one that has given it up. Neither runs the guest, and each maps its RAM.
 */
import { readRuntime, writeRuntime } from '../../run/vm-runtime.ts'
import { endWaiting, killQemu } from '../end-qemu.ts'

/**
 * Ends them, and takes them off the record. The caller holds the VM's update lock, or is the VM's only
 * supervisor and has not started a QEMU yet. Errors (QemuError): one cannot be ended.
 */
export async function endLeftOver(name: string): Promise<void> {
  const runtime = readRuntime(name)
  if (runtime === undefined) return
  const { successor, predecessor, ...rest } = runtime
  if (successor === undefined && predecessor === undefined) return
  if (successor !== undefined) await endWaiting(name, successor)
  if (predecessor !== undefined) await killQemu(name, predecessor, 0)
  writeRuntime(name, rest)
}
