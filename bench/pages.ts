/** Owns the bench of guest memory by page size: measured in a guest of a throw-away host that has every kind of page (testbed). */
import { runScenario } from '../testbed/scenario/run.ts'
import { type PageFigures, pages } from '../testbed/scenarios/pages.ts'
import { median } from './harness.ts'
import { fact, type Result } from './report.ts'

const CHOICES = { kernel: undefined, nextKernel: undefined, memory: undefined, keep: false, words: [] }

/** The rounds are the guest's own. */
export async function benchPages(_rounds: number, progress: (line: string) => void): Promise<Result> {
  progress('a host boots')
  const {
    summary: { kept, failure, boots, accelerator },
  } = await runScenario('pages', pages, CHOICES)
  if (failure !== undefined) throw new Error(failure)
  const ways = Object.entries(kept as Record<string, PageFigures>)
  return {
    name: 'pages',
    title:
      "A guest's memory by the pages it is mapped with: stores, dependent reads at random places of 512 MiB",
    settings: { kernel: boots[0]?.release ?? 'unknown', accelerator },
    measured: ways.map(([name, figures]) => ({
      name,
      samples: {
        writeMibPerSecond: figures.writeMibPerSecond,
        chaseNs: figures.chaseNs,
        kernelPageBytes: [figures.kernelPageBytes],
        pmdMappedBytes: [figures.pmdMappedBytes],
      },
    })),
    rows: ways.map(([name, { writeMibPerSecond, chaseNs }]) =>
      fact(name, `${median(writeMibPerSecond).toFixed(0)} MiB/s   ${median(chaseNs).toFixed(0)} ns`),
    ),
  }
}
