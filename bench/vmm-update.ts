/** One update of the QEMU of one guest, for benches. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { readPrinted } from '../testbed/printed-json.ts'
import { type BenchPool, guestmemfs } from './pool.ts'
import { makeTouchedRam, qemuOptions, waitForTicks, writeGuestKernel } from './touched-guest.ts'

const CLI = join(import.meta.dirname, '../src/cli.ts')

/**
 * Milliseconds for which one guest is stopped in one update of its QEMU. `options`: further ones of QEMU's.
 * `scratch` is outside the pool: serial output is no part of what is measured.
 */
export async function updateBlackoutMs(
  pool: BenchPool,
  scratch: string,
  bytes: number,
  options: readonly string[] = [],
): Promise<number> {
  const name = `bench-${process.pid}`
  const files = {
    kernel: join(scratch, 'kernel'),
    serial: join(scratch, 'serial'),
    ramFile: join(pool.mountPoint, 'ram'),
  }
  writeGuestKernel(files.kernel)
  await makeTouchedRam(files.ramFile, bytes)
  const words = ['run', '--name', name, '--', 'qemu-system-x86_64', ...qemuOptions(files, bytes), ...options]
  const vm = spawn(process.execPath, [CLI, ...words], { stdio: 'ignore' })
  const ended = once(vm, 'exit')
  try {
    await waitForTicks(files.serial, 3)
    const text = await guestmemfs('live-update', '--vmm-only', pool.mountPoint, '--json')
    const report = readPrinted('live-update', text).reports[0]?.vms[0]
    if (report?.blackoutUs == null)
      throw new Error(`no blackout was measured: ${report?.outcome} ${report?.problem}`)
    await waitForTicks(files.serial, 3)
    return report.blackoutUs / 1000
  } finally {
    await endVm(pool)
    await ended
    for (const path of Object.values(files)) rmSync(path, { force: true })
  }
}

async function endVm({ mountPoint }: BenchPool): Promise<void> {
  const { vms } = readPrinted('vms', await guestmemfs('vms', mountPoint, '--json'))
  for (const { pid } of vms) if (pid !== null) process.kill(pid, 'SIGTERM')
}
