/** Owns the bench of metadata: create, stat, truncate, unlink against libfuse's C example over tmpfs, side by side. */
import { closeSync, mkdirSync, openSync, rmdirSync, statSync, truncateSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { interleave, type Measured, medianOf, type Side } from './harness.ts'
import { buildPassthroughLl, withPassthroughLl } from './peers/passthrough-ll.ts'
import { withPool } from './pool.ts'
import { atLeastRow, fact, type Result, type Row } from './report.ts'

const FILES = 1000
/** V8 compiles a server's code while it is used: until then it is several times slower. */
const WARM_UPS = 5
/** `first stat` asks for the birth time, as Node always does: a kernel that has only seen the create must ask for it. */
const OPERATIONS = ['create', 'first stat', 'stat', 'truncate', 'unlink'] as const

/** Operations per second of one round in a directory of its own. */
function round(mountPoint: string): Record<string, number> {
  const folder = join(mountPoint, 'round')
  mkdirSync(folder)
  const paths = Array.from({ length: FILES }, (_, index) => join(folder, `file-${index}`))
  const rate = (operation: (path: string) => void): number => {
    const started = performance.now()
    for (const path of paths) operation(path)
    return (FILES * 1000) / (performance.now() - started)
  }
  const figures = {
    create: rate((path) => closeSync(openSync(path, 'wx'))),
    'first stat': rate((path) => void statSync(path)),
    stat: rate((path) => void statSync(path)),
    truncate: rate((path) => truncateSync(path, 4096)),
    unlink: rate((path) => unlinkSync(path)),
  }
  rmdirSync(folder)
  return figures
}

function rows(measured: readonly Measured[]): Row[] {
  const [ours, strict, lax] = measured as [Measured, Measured, Measured]
  const perSecond = (side: Measured, figure: string): string =>
    Math.round(medianOf(side, figure)).toLocaleString('en')
  return OPERATIONS.flatMap((figure) => [
    atLeastRow(`${figure}, against timeout=0`, medianOf(ours, figure) / medianOf(strict, figure), 1),
    atLeastRow(`${figure}, against timeout=1`, medianOf(ours, figure) / medianOf(lax, figure), 1),
    fact(`${figure} per second, guestmemfs`, perSecond(ours, figure)),
  ])
}

/**
 * The example is measured twice: with `timeout=0` it answers each stat itself, as we do; with its default of one
 * second the kernel answers from its cache, and what was changed behind its back is seen late.
 */
export function benchMetadata(rounds: number, progress: (line: string) => void): Promise<Result> {
  const binary = buildPassthroughLl(progress)
  return withPool('8G', ({ mountPoint: ours }) =>
    withPassthroughLl(binary, 'timeout=0', (strict) =>
      withPassthroughLl(binary, 'timeout=1', async (lax) => {
        const sides: Side[] = [
          { name: 'guestmemfs', run: () => round(ours) },
          { name: 'passthrough_ll timeout=0', run: () => round(strict) },
          { name: 'passthrough_ll timeout=1', run: () => round(lax) },
        ]
        const measured = await interleave(sides, { rounds, warmUps: WARM_UPS, progress })
        return {
          name: 'metadata',
          title: "Metadata, against libfuse's passthrough_ll over tmpfs (throughput ratio)",
          settings: { files: FILES, rounds },
          measured,
          rows: rows(measured),
        }
      }),
    ),
  )
}
