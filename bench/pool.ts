/** A pool for a bench: mounted through the command line like any other, discarded afterwards. */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { readPoolRecord } from '../src/run/pool-record.ts'

const TREE = join(import.meta.dirname, '..')
const execute = promisify(execFile)

/** Standard output of `guestmemfs WORDS…`. Rejects with its standard error. */
export const guestmemfs = (...words: string[]): Promise<string> => programOf(TREE, words)

async function programOf(tree: string, words: readonly string[]): Promise<string> {
  const { stdout } = await execute(process.execPath, [join(tree, 'src/cli.ts'), ...words], {
    timeout: 300_000,
    maxBuffer: 64 * 1024 * 1024,
  })
  return stdout
}

export interface BenchPool {
  readonly name: string
  readonly mountPoint: string
  readonly serverPid: () => number
  readonly keeperPid: () => number
}

let count = 0

/**
 * Mounts a pool of `size` for the time of `use`. `tree`: the folder of another version, whose program serves
 * it.
 */
export async function withPool<T>(
  size: string,
  use: (pool: BenchPool) => Promise<T>,
  tree = TREE,
): Promise<T> {
  count += 1
  const name = `bench-${process.pid}-${count}`
  const mountPoint = mkdtempSync(join(tmpdir(), 'guestmemfs-bench-'))
  const record = () => {
    const found = readPoolRecord(name)
    if (!found) throw new Error(`pool ${name} has no record`)
    return found
  }
  try {
    await programOf(tree, ['mount', name, mountPoint, '-o', `size=${size}`])
    return await use({
      name,
      mountPoint,
      serverPid: () => record().server?.pid ?? 0,
      keeperPid: () => record().keeper.pid,
    })
  } finally {
    await programOf(tree, ['umount', '--discard', name]).catch((error: unknown) => {
      process.stderr.write(`bench: ${name} did not unmount: ${error}\n`)
    })
    rmdirSync(mountPoint)
  }
}
