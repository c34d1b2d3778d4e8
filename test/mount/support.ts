/**
 * Real pools for tests: mounted by the command line that the operator types, and discarded when the test
 * ends.
 */
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Outputs } from '../../src/cli/json/outputs.ts'
import { unmount } from '../../src/linux/mounts.ts'
import { processStartTime } from '../../src/linux/process.ts'
import { lockPath, logPath, type PoolRecord, readPoolRecord } from '../../src/run/pool-record.ts'
import { readPrinted } from '../../testbed/printed-json.ts'
import { formerPrinted, formerWords } from './former-words.ts'

/** The tree under test: this one, or another folder, whose faults a test must then find. */
export const TREE = process.env.GUESTMEMFS_TREE ?? fileURLToPath(new URL('../..', import.meta.url))
/** The other folder has the oldest tree. */
const isFormer = process.env.GUESTMEMFS_TREE !== undefined
export const CLI = join(TREE, 'src/cli.ts')
/** `words`: after the program's name, as the tree under test spells them. */
export const spelled = (words: readonly string[]): readonly string[] =>
  isFormer ? formerWords(words) : words
/** What Node runs for `guestmemfs WORDS…`. */
export const typed = (...words: readonly string[]): string[] => [CLI, ...spelled(words)]
const run = promisify(execFile)

/** Why this machine cannot run the mount tier, or false: what `node:test` takes as `skip`. */
export const cannotMount: string | false =
  process.getuid?.() !== 0 ? 'needs root' : existsSync('/dev/fuse') ? false : 'needs /dev/fuse'

/** Enough for the dump of a pool after some load: Node's default of 1 MiB cuts it off on a fast machine. */
const MAX_OUTPUT_BYTES = 64 * 2 ** 20

/** So that messages of other programs are as the tests expect them. */
const UNTRANSLATED = { LC_ALL: 'C.UTF-8' } as const

export interface Outcome {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program; never rejects for an exit status, so that a test can look at it. */
export async function runProgram(
  program: string,
  words: readonly string[],
  { cwd, environment = {} }: { cwd?: string; environment?: Record<string, string> } = {},
): Promise<Outcome> {
  try {
    const env = { ...process.env, ...UNTRANSLATED, ...environment }
    const limits = { timeout: 90_000, maxBuffer: MAX_OUTPUT_BYTES }
    const { stdout, stderr } = await run(program, words, { ...limits, env, ...(cwd && { cwd }) })
    return { status: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { status: code, stdout, stderr }
  }
}

/** What is printed with --json is held against its schema; `words`: after the program's name. */
async function checked(words: readonly string[], running: Promise<Outcome>): Promise<Outcome> {
  const outcome = await running
  if (!isFormer && words.includes('--json') && outcome.stdout !== '')
    readPrinted(words[0] as keyof Outputs, outcome.stdout)
  return outcome
}

/** What `guestmemfs COMMAND --json` prints, with further `words`. Throws where it prints nothing. */
export async function printed<Command extends keyof Outputs>(
  command: Command,
  ...words: string[]
): Promise<Outputs[Command]> {
  const { stdout, stderr } = await guestmemfs(command, '--json', ...words)
  if (stdout === '') throw new Error(stderr)
  return printedIn(command, stdout)
}

/** Of a command that has ended. */
export const printedIn = <Command extends keyof Outputs>(
  command: Command,
  stdout: string,
): Outputs[Command] =>
  isFormer ? (formerPrinted(command, stdout) as Outputs[Command]) : readPrinted(command, stdout)

/** Runs `guestmemfs ARGUMENTS…`. */
export const guestmemfs = (...words: string[]): Promise<Outcome> => guestmemfsWith({}, ...words)

/** As `guestmemfs`, with further environment variables, which keeper and server inherit. */
export const guestmemfsWith = (environment: Record<string, string>, ...words: string[]): Promise<Outcome> =>
  checked(words, runProgram(process.execPath, typed(...words), { environment }))

/** As `guestmemfs`, run by another program, which executes the words after its own. */
export const runInTree = (
  program: string,
  words: readonly string[],
  command: readonly string[],
): Promise<Outcome> =>
  checked(command, runProgram(program, [...words, process.execPath, ...typed(...command)]))

/** Kills the process; resolves when it has ended. */
export async function kill(pid: number): Promise<void> {
  process.kill(pid, 'SIGKILL')
  await until(`process ${pid} ends`, () => processStartTime(pid) === undefined)
}

/** A user and group that no other process of a machine has. */
export const STRANGER = { uid: 61_234, gid: 61_234 } as const

/** Words before a program's own that make it run as a user without privileges. */
export const asStranger = ({ uid, gid }: { uid: number; gid: number } = STRANGER): string[] => [
  `--reuid=${uid}`,
  `--regid=${gid}`,
  '--clear-groups',
]

/**
 * Runs a program of this tree as an unprivileged user. It may read any directory, as the sources may be in a
 * closed one, and has no other privilege.
 */
export function nodeAsStranger(words: readonly string[], options: { cwd?: string } = {}): Promise<Outcome> {
  const capabilities = ['--inh-caps', '--ambient-caps'].map((set) => `${set}=-all,+dac_read_search`)
  return runProgram('setpriv', [...asStranger(), ...capabilities, process.execPath, ...words], options)
}

/** Runs `guestmemfs ARGUMENTS…` as an unprivileged user. */
export const guestmemfsAsStranger = (...words: string[]): Promise<Outcome> =>
  checked(words, nodeAsStranger(typed(...words)))

export interface TestPool {
  readonly pool: string
  readonly mountPoint: string
  readonly path: (...names: string[]) => string
  /** The present pids: a pool gets other servers. */
  readonly keeperPid: () => number
  readonly serverPid: () => number
}

let pools = 0
const endings = new WeakMap<TestContext, (() => unknown)[]>()

/** `end` ends the processes that use the mount, before the pool is unmounted. */
export function beforeUnmount(t: TestContext, end: () => unknown): void {
  endings.set(t, [...(endings.get(t) ?? []), end])
}

/** A pool name that no other test has; a pool of that name is discarded after the test. */
export function testPoolName(t: TestContext): string {
  const pool = `test-${process.pid}-${++pools}`
  t.after(async () => {
    for (const end of endings.get(t) ?? []) await end()
    if (readPoolRecord(pool) !== undefined) await discard(pool)
    for (const path of [lockPath(pool), logPath(pool)]) rmSync(path, { force: true })
  })
  return pool
}

/** An empty folder, removed after the test; a mount that is left on it is unmounted first. */
export function testMountPoint(t: TestContext): string {
  const mountPoint = mkdtempSync(join(tmpdir(), 'guestmemfs-test-'))
  t.after(() => {
    unmount(mountPoint, { lazy: true })
    rmdirSync(mountPoint)
  })
  return mountPoint
}

/** Also the pool of a failed test, which may be busy, must not stay. */
async function discard(pool: string): Promise<void> {
  const { status, stderr } = await guestmemfs('umount', '--discard', pool)
  // The keeper of an empty pool ends by itself, perhaps just now.
  if (status === 0 || readPoolRecord(pool) === undefined) return
  const mountPoint = readPoolRecord(pool)?.mountPoint
  if (mountPoint != null) unmount(mountPoint, { lazy: true })
  await until('it is parked', () => readPoolRecord(pool)?.state !== 'mounted').catch(() => {})
  await guestmemfs('umount', '--discard', pool)
  throw new Error(`pool ${pool} could not be discarded: ${stderr}`)
}

/** A mounted pool of `size`, unmounted and discarded after the test. */
export async function mountTestPool(
  t: TestContext,
  { size = '256M', environment = {} }: { size?: string; environment?: Record<string, string> } = {},
): Promise<TestPool> {
  const pool = testPoolName(t)
  const mountPoint = testMountPoint(t)
  const mounted = await guestmemfsWith(environment, 'mount', pool, mountPoint, '-o', `size=${size}`)
  if (mounted.status !== 0) throw new Error(mounted.stderr)
  return testPool(pool, mountPoint)
}

/** The `TestPool` of a pool that is mounted already. */
export const testPool = (pool: string, mountPoint: string): TestPool => ({
  pool,
  mountPoint,
  path: (...names) => join(mountPoint, ...names),
  keeperPid: () => poolRecord(pool).keeper.pid,
  serverPid: () => poolRecord(pool).server?.pid ?? 0,
})

/** For tests that share a pool: makes a folder, and returns a function that joins names to its path. */
export const folders =
  (pool: TestPool) =>
  (name: string): ((...names: string[]) => string) => {
    mkdirSync(pool.path(name))
    return (...names) => pool.path(name, ...names)
  }

/** Throws where there is none. */
export function poolRecord(pool: string): PoolRecord {
  const found = readPoolRecord(pool)
  if (found === undefined) throw new Error(`pool ${pool} has no record`)
  return found
}

/** Free blocks of 2 MiB by statfs(2). */
export const freeBlocks = (mountPoint: string): number => statfsSync(mountPoint).bfree

/** Resolves when `holds()` does; rejects, saying `what`, when it does not in time. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`${timeoutMs} ms went by without: ${what}`)
    await sleep(20)
  }
}

/** Output of a shell command, as the operator would type it; throws with its stderr when it fails. */
export const shell = (command: string): string =>
  execFileSync('sh', ['-ec', command], {
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, ...UNTRANSLATED },
    stdio: ['ignore', 'pipe', 'pipe'],
  })

/**
 * `guestmemfs fsck`, of the program of `run`, finds no fault in the pool; an unfinished checkpoint is none.
 */
export async function assertClean(pool: string, run = guestmemfs): Promise<void> {
  const { status, stdout, stderr } = await run('fsck', pool)
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' }, stdout)
  for (const line of stdout.trim().split('\n')) assert.match(line, /: (clean$|note in )/)
}
