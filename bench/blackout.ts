/**
 * The bench of the blackout: a new QEMU under a running guest, by guestmemfs and by QEMU's ordinary
 * migration, by size of RAM.
 */
import { mkdtempSync, rmdirSync } from 'node:fs'
import { memoryInfo } from '../src/linux/memory-info.ts'
import { interleave, type Measured, medianOf } from './harness.ts'
import { ordinaryBlackoutMs } from './peers/qemu-migrate.ts'
import { barChart } from './plot.ts'
import { withPool } from './pool.ts'
import { atMostRow, fact, keepPlot, type Result, type Row } from './report.ts'
import { updateBlackoutMs } from './vmm-update.ts'

const MIB = 1024 ** 2
const SIZES_MIB = [256, 1024, 4096]
/** The peer holds RAM and state file at the same time, and both sides need room beside it. */
const MEMORY_PER_BYTE = 2.5

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
        const ours = async () => ({ blackoutMs: await updateBlackoutMs(pool, scratch, size * MIB) })
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
    title: 'A new QEMU under a running guest: how long the guest is stopped, by RAM touched',
    settings: { rounds, sizesMib: sizes.join(' '), skippedForMemory: SIZES_MIB.length - sizes.length },
    measured: [...measured.values()].flat(),
    rows: rows(measured),
  }
}
