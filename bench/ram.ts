/** The bench of guest RAM: filling, reading and touching 1 GiB through the mount against a raw memfd. */
import { execFile } from 'node:child_process'
import { closeSync, ftruncateSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { interleave, medianOf } from './harness.ts'
import { withPool } from './pool.ts'
import { atLeastRow, fact, type Result } from './report.ts'

const GIB = 1024 ** 3
const worker = join(import.meta.dirname, 'workers/map-ram.ts')
const execute = promisify(execFile)

/**
 * A virtual machine may return free pages to its host, and then takes a fault there on the next use. So each
 * measurement, on both sides, fills and frees as much memory just before.
 */
async function measure(place: string): Promise<Record<string, number>> {
  await execute(process.execPath, [worker, 'memfd', String(GIB)], { timeout: 120_000 })
  const { stdout } = await execute(process.execPath, [worker, place, String(GIB)], { timeout: 120_000 })
  return JSON.parse(stdout) as Record<string, number>
}

/** A new file each round: a second fill of the same memory would have no page faults. */
async function measureFile(path: string): Promise<Record<string, number>> {
  const fd = openSync(path, 'w')
  ftruncateSync(fd, GIB)
  closeSync(fd)
  try {
    return await measure(path)
  } finally {
    rmSync(path)
  }
}

export function benchRam(rounds: number, progress: (line: string) => void): Promise<Result> {
  return withPool('2G', async ({ mountPoint }) => {
    const measured = await interleave(
      [
        { name: 'raw memfd', run: () => measure('memfd') },
        { name: 'guestmemfs', run: () => measureFile(join(mountPoint, 'ram')) },
      ],
      { rounds, progress },
    )
    const [raw, ours] = measured as [(typeof measured)[0], (typeof measured)[0]]
    const speed = (figure: string): number => medianOf(raw, figure) / medianOf(ours, figure)
    const mapped = (side: typeof raw): string => `${(medianOf(side, 'pmdBytes') / GIB).toFixed(3)} GiB`
    return {
      name: 'ram',
      title: 'Guest RAM, 1 GiB through the mount against a raw memfd (speed ratio)',
      settings: { bytes: GIB, rounds },
      measured,
      rows: [
        atLeastRow('fill', speed('fillMs'), 0.99),
        atLeastRow('read', speed('readMs'), 0.99),
        atLeastRow('random touch', speed('touchMs'), 0.99),
        fact('2 MiB-mapped, raw memfd', mapped(raw)),
        {
          figure: '2 MiB-mapped, guestmemfs',
          value: mapped(ours),
          wanted: 'file size',
          met: medianOf(ours, 'pmdBytes') === GIB,
        },
      ],
    }
  })
}
