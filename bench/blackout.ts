/**
 * Owns the bench of the blackout: a new QEMU under a running guest, by guestmemfs and by QEMU's ordinary
 * migration, by size of RAM.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { memoryInfo } from '../src/linux/memory-info.ts'
import { awaitTicks, makeTouchedRam, qemuOptions, writeGuestKernel } from './guest.ts'
import { interleave, type Measured, medianOf } from './harness.ts'
import { ordinaryBlackoutMs } from './peers/qemu-migrate.ts'
import { barChart } from './plot.ts'
import { type BenchPool, guestmemfs, withPool } from './pool.ts'
import { atMostRow, fact, keepPlot, type Result, type Row } from './report.ts'

const MIB = 1024 ** 2
const SIZES_MIB = [256, 1024, 4096]
/** The peer holds RAM and state file at the same time, and both sides need room beside it. */
const MEMORY_PER_BYTE = 2.5
const CLI = join(import.meta.dirname, '../src/cli.ts')

interface VmReport {
  readonly name: string
  readonly outcome: string
  readonly problem: string | null
  readonly blackoutUs: number | null
}

/** One guest, one update. `scratch` is outside the pool: serial output is no part of what is measured. */
async function ourBlackoutMs(pool: BenchPool, scratch: string, bytes: number): Promise<number> {
  const name = `bench-${process.pid}`
  const files = {
    kernel: join(scratch, 'kernel'),
    serial: join(scratch, 'serial'),
    ramFile: join(pool.mountPoint, 'ram'),
  }
  writeGuestKernel(files.kernel)
  await makeTouchedRam(files.ramFile, bytes)
  const words = ['run', '--name', name, '--', 'qemu-system-x86_64', ...qemuOptions(files, bytes)]
  const vm = spawn(process.execPath, [CLI, ...words], { stdio: 'ignore' })
  const ended = once(vm, 'exit')
  try {
    await awaitTicks(files.serial, 3)
    const text = await guestmemfs('live-update', '--vmm-only', '--mount', pool.mountPoint, '--json')
    const [report] = (JSON.parse(text) as { vms: VmReport[] }).vms
    if (report?.blackoutUs == null)
      throw new Error(`no blackout was measured: ${report?.outcome} ${report?.problem}`)
    await awaitTicks(files.serial, 3)
    return report.blackoutUs / 1000
  } finally {
    await endVm(pool)
    await ended
    for (const path of Object.values(files)) rmSync(path, { force: true })
  }
}

async function endVm({ mountPoint }: BenchPool): Promise<void> {
  const vms = JSON.parse(await guestmemfs('vms', '--mount', mountPoint, '--json')) as { pid: number | null }[]
  for (const { pid } of vms) if (pid !== null) process.kill(pid, 'SIGTERM')
}

function rows(measured: ReadonlyMap<number, readonly Measured[]>): Row[] {
  const figure = (side: Measured): string => `${medianOf(side, 'blackoutMs').toFixed(0)} ms`
  const bySize = [...measured].flatMap(([size, [ours, ordinary]]) => [
    fact(`${size} MiB, guestmemfs`, figure(ours!)),
    fact(`${size} MiB, migrate file:`, figure(ordinary!)),
  ])
  const all = [...measured.values()].map(([ours]) => medianOf(ours!, 'blackoutMs'))
  const [smallest = 1, largest = 1] = [all[0], all.at(-1)]
  return [...bySize, atMostRow('guestmemfs, largest against smallest', largest / smallest, 1.2)]
}

export async function benchBlackout(rounds: number, progress: (line: string) => void): Promise<Result> {
  const available = memoryInfo().availableBytes
  const sizes = SIZES_MIB.filter((size) => size * MIB * MEMORY_PER_BYTE < available)
  const scratch = mkdtempSync('/dev/shm/guestmemfs-bench-')
  const measured = new Map<number, readonly Measured[]>()
  try {
    await withPool(`${Math.max(...sizes) + 256}M`, async (pool) => {
      for (const size of sizes) {
        const ours = async () => ({ blackoutMs: await ourBlackoutMs(pool, scratch, size * MIB) })
        const ordinary = async () => ({ blackoutMs: await ordinaryBlackoutMs(scratch, size * MIB) })
        const sides = [
          { name: `guestmemfs, ${size} MiB`, run: ours },
          { name: `migrate file:, ${size} MiB`, run: ordinary },
        ]
        measured.set(size, await interleave(sides, { rounds, progress }))
      }
    })
  } finally {
    rmdirSync(scratch)
  }
  const series = [...measured].map(([size, sides]) => ({
    label: `${size} MiB`,
    values: sides.map((side) => medianOf(side, 'blackoutMs')),
  }))
  keepPlot('blackout', barChart('Blackout of a guest, milliseconds', ['guestmemfs', 'migrate file:'], series))
  return {
    name: 'blackout',
    title: 'A new QEMU under a running guest: how long the guest stands still, by RAM touched',
    settings: { rounds, sizesMib: sizes.join(' '), skippedForMemory: SIZES_MIB.length - sizes.length },
    measured: [...measured.values()].flat(),
    rows: rows(measured),
  }
}
