/**
 * The bench of the host's overhead for guest memory: counted inside a throw-away host that has every kind of
 * it (testbed).
 */
import { overhead } from '../testbed/scenarios/overhead.ts'
import { fact, type Result } from './report.ts'
import { measureIn } from './throw-away-host.ts'

const MIB = 2 ** 20

/** One run: the kernel counts, and does not vary. */
export async function benchOverhead(_rounds: number, progress: (line: string) => void): Promise<Result> {
  progress('a host boots')
  const { figures, summary } = await measureIn('overhead', overhead)
  const kinds = Object.entries(figures)
  const perGib = (bytes: number): string => `${(bytes / MIB).toFixed(3)} MiB`
  return {
    name: 'overhead',
    title:
      'What a GiB of guest memory costs its host: struct pages, page tables of one process (mapped in pages of)',
    settings: { kernel: summary.boots[0]?.release ?? 'unknown' },
    measured: kinds.map(([name, { structPages, pageTables, pageBytes }]) => ({
      name,
      samples: { structPages: [structPages], pageTables: [pageTables], pageBytes: [pageBytes] },
    })),
    rows: kinds.map(([name, { structPages, pageTables, pageBytes, direct }]) =>
      fact(
        name,
        `${perGib(structPages)} + ${perGib(pageTables)} (${pageBytes / 1024}K, O_DIRECT: ${direct})`,
      ),
    ),
  }
}
