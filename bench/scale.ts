/** The bench of size: the time to create a file in a mount of 10,000 files against one of 100. */
import { closeSync, openSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { interleave, medianOf } from './harness.ts'
import { withPool } from './pool.ts'
import { atMostRow, fact, type Result } from './report.ts'

const FEW = 100
const MANY = 10_000
const CREATED = 500
/** V8 compiles a server's code while it is used: until then it is several times slower. */
const WARM_UPS = 8

const create = (path: string): void => closeSync(openSync(path, 'wx'))

function fill(mountPoint: string, files: number): string[] {
  const paths = Array.from({ length: files }, (_, index) => join(mountPoint, `resident-${index}`))
  for (const path of paths) create(path)
  return paths
}

/** Microseconds per create, and per unlink of what was created. */
function round(mountPoint: string): Record<string, number> {
  const paths = Array.from({ length: CREATED }, (_, index) => join(mountPoint, `new-${index}`))
  const each = (operation: (path: string) => void): number => {
    const started = performance.now()
    for (const path of paths) operation(path)
    return ((performance.now() - started) * 1000) / CREATED
  }
  return { createMicroseconds: each(create), unlinkMicroseconds: each(unlinkSync) }
}

export function benchScale(rounds: number, progress: (line: string) => void): Promise<Result> {
  return withPool('1G', (few) =>
    withPool('1G', async (many) => {
      progress(`filling ${MANY} files`)
      // Both servers have done the same work before, so that V8 has compiled the same code in both.
      for (const path of fill(few.mountPoint, MANY).slice(FEW)) unlinkSync(path)
      fill(many.mountPoint, MANY)
      const measured = await interleave(
        [
          { name: `${FEW} files`, run: () => round(few.mountPoint) },
          { name: `${MANY} files`, run: () => round(many.mountPoint) },
        ],
        { rounds, warmUps: WARM_UPS, progress },
      )
      const [small, large] = measured as [(typeof measured)[0], (typeof measured)[0]]
      const ratio = (figure: string): number => medianOf(large, figure) / medianOf(small, figure)
      return {
        name: 'scale',
        title: `Create and unlink in a mount of ${MANY} files against ${FEW} (latency ratio)`,
        settings: { few: FEW, many: MANY, created: CREATED, rounds },
        measured,
        rows: [
          atMostRow('create', ratio('createMicroseconds'), 1.2),
          atMostRow('unlink', ratio('unlinkMicroseconds'), 1.2),
          fact('create, µs', medianOf(large, 'createMicroseconds').toFixed(0)),
        ],
      }
    }),
  )
}
