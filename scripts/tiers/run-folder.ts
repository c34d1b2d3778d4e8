/**
 * The folder of one run of the tests, and what a run that was killed left behind: its processes and its
 * folder. A run that goes on beside this one is left alone.
 */
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseRecord } from '../../src/run/parse-record.ts'
import { identifySelf, isAlive, ProcessSchema } from '../../src/run/process-identity.ts'
import { removeLeftovers } from './leftovers.ts'

const ROOT = '/tmp'
const PREFIX = 'gm-'
/** The process that runs the tests. */
const RUNNER = 'runner.json'

/** Short, since the path of a socket has at most 107 bytes. Other users may pass through it. */
export function makeRunFolder(root = ROOT): string {
  const folder = mkdtempSync(join(root, PREFIX))
  chmodSync(folder, 0o711)
  writeFileSync(join(folder, RUNNER), JSON.stringify(identifySelf()))
  return folder
}

/** Then the folder is empty, unless it holds what a failed test left behind. */
export function removeRunnerName(folder: string): void {
  rmSync(join(folder, RUNNER), { force: true })
}

/**
 * Ends what runs that were killed left behind, and removes their folders. Returns a line for each process and
 * mount.
 */
export async function removeKilledRuns(root = ROOT): Promise<string[]> {
  const killed = readdirSync(root)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => join(root, name))
    .filter(wasKilled)
  const removed: string[] = []
  for (const folder of killed) {
    removed.push(...(await removeLeftovers(folder, 0)))
    rmSync(folder, { recursive: true, force: true })
  }
  return removed
}

/** Without a runner's name in it the folder is that of a run that ended, kept for the operator. */
function wasKilled(folder: string): boolean {
  const file = join(folder, RUNNER)
  if (!existsSync(file)) return false
  const runner = parseRecord(ProcessSchema, readFileSync(file, 'utf8'))
  return runner !== undefined && !isAlive(runner)
}
