/** A former commit's program for a test: sources from this repository's history, in a folder of their own. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { OLDEST, olderObstacle, takeOlder } from '../../testbed/older-tree.ts'
import {
  cannotMount,
  type Outcome,
  runProgram,
  type TestPool,
  testMountPoint,
  testPool,
  testPoolName,
} from './support.ts'

const TODAY = fileURLToPath(new URL('../../src', import.meta.url))

/** What `node:test` takes as `skip`. */
export const cannotRunOlder: string | false = cannotMount || (olderObstacle(OLDEST) ?? false)

export interface OlderProgram {
  readonly folder: string
  /** The path of its command line. */
  readonly cli: string
  readonly run: (...words: string[]) => Promise<Outcome>
  /** Replaces the former files by today's, as an upgrade of the package does while processes run. */
  readonly upgrade: () => void
}

export interface OlderPool {
  readonly pool: TestPool
  readonly older: OlderProgram
}

/** A pool that the former program has mounted; today's unmounts and discards it after the test. */
export async function mountOlderPool(t: TestContext, size = '64M'): Promise<OlderPool> {
  const pool = testPoolName(t)
  const mountPoint = testMountPoint(t)
  const older = olderProgram(t)
  const mounted = await older.run('mount', pool, mountPoint, '-o', `size=${size}`)
  if (mounted.status !== 0) throw new Error(mounted.stderr)
  return { pool: testPool(pool, mountPoint), older }
}

/** The folder is removed after the test: register what must end before that before this call. */
function olderProgram(t: TestContext): OlderProgram {
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-older-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  takeOlder(OLDEST, folder)
  const cli = join(folder, 'src/cli.ts')
  return {
    folder,
    cli,
    run: (...words) => runProgram(process.execPath, [cli, ...words]),
    upgrade: () => {
      rmSync(join(folder, 'src'), { recursive: true })
      cpSync(TODAY, join(folder, 'src'), { recursive: true })
    },
  }
}
