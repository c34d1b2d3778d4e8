/**
 * The bench of guest memory by page size: measured in a guest of a throw-away host that has every kind of
 * page (testbed).
 */
import { pages } from '../testbed/scenarios/pages.ts'
import { median } from './harness.ts'
import { fact, type Result } from './report.ts'
import { measureIn } from './throw-away-host.ts'

/** The rounds are the guest's own. */
export async function benchPages(_rounds: number, progress: (line: string) => void): Promise<Result> {
  progress('a host boots')
  const { figures, summary } = await measureIn('pages', pages)
  const ways = Object.entries(figures)
  return {
    name: 'pages',
    title:
      "A guest's memory by the pages it is mapped with: stores, dependent reads at random places of 512 MiB",
    settings: { kernel: summary.boots[0]?.release ?? 'unknown', accelerator: summary.accelerator },
    measured: ways.map(([name, way]) => ({
      name,
      samples: {
        writeMibPerSecond: way.writeMibPerSecond,
        chaseNs: way.chaseNs,
        kernelPageBytes: [way.kernelPageBytes],
        pmdMappedBytes: [way.pmdMappedBytes],
      },
    })),
    rows: ways.map(([name, { writeMibPerSecond, chaseNs }]) =>
      fact(name, `${median(writeMibPerSecond).toFixed(0)} MiB/s   ${median(chaseNs).toFixed(0)} ns`),
    ),
  }
}
