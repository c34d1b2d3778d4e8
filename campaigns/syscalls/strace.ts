/** Runs strace(1), to list a process's system calls, and to kill it at one of them. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasApt, installPackages, THIS_HOST } from '../../src/host/apt.ts'
import { askConsent } from '../../src/host/consent.ts'

/** Why there is no strace, in one line. Installs it where possible, after asking on a terminal. */
export async function straceObstacle(): Promise<string | undefined> {
  if (isThere()) return undefined
  const advice = 'strace is missing: install it (Debian: apt-get install strace)'
  if (!hasApt() || process.getuid?.() !== 0) return advice
  if (!(await askConsent('strace is missing. Install it?', { yes: false }))) return advice
  installPackages(THIS_HOST, ['strace'])
  return isThere() ? undefined : advice
}

function isThere(): boolean {
  try {
    execFileSync('strace', ['-V'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** The `nth` call of `name` by a process, as strace counts them: for each process or thread by itself. */
export interface CallSite {
  readonly name: string
  readonly nth: number
  /** The server's worker beside the thread that serves, in a carve-out. */
  readonly byWorker?: boolean
}

export const siteName = ({ name, nth, byWorker }: CallSite): string =>
  `${byWorker ? 'worker ' : ''}${name}:${nth}`

/** As Node names it; undefined: the process has none. */
export function workerThread(pid: number): number | undefined {
  const tasks = `/proc/${pid}/task`
  const isWorker = (tid: string): boolean =>
    readFileSync(`${tasks}/${tid}/comm`, 'utf8').trim() === 'WorkerThread'
  const found = readdirSync(tasks).find(isWorker)
  return found === undefined ? undefined : Number(found)
}

/** SIGKILL at the entry of the call, which the kernel then does not carry out. */
export const killAt = ({ name, nth }: CallSite): string[] => ['-e', `inject=${name}:signal=KILL:when=${nth}`]

/** A machine whose processors are all busy. */
const ATTACH_MS = 60_000
/**
 * strace stops at each system call of three starts of Node, on a machine whose processors may all be busy.
 */
const FOLLOW_MS = 300_000

/**
 * A strace that is attached to `pid`, and not to its other threads. `end`: detaches it, and returns its
 * output. Throws where the process has ended already.
 */
export async function attach(pid: number, words: readonly string[]): Promise<{ end: () => Promise<string> }> {
  const child = spawn('strace', [...words, '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const ended = once(child, 'close')
  const deadline = performance.now() + ATTACH_MS
  while (!/ attached$/m.test(output)) {
    if (child.exitCode !== null || performance.now() > deadline) {
      // It detaches: where it is killed in the middle, the process may stay stopped.
      child.kill('SIGINT')
      throw new Error(`strace did not attach to ${pid}: ${output}`)
    }
    await sleep(5)
  }
  return { end: () => endStrace(child, ended, () => output) }
}

/**
 * Runs `line` and its children under strace, until `line` itself has ended; its children go on without
 * strace. Returns the output of strace, which goes to `file`.
 */
export async function follow(
  words: readonly string[],
  line: readonly string[],
  file: string,
): Promise<string> {
  writeFileSync(file, '')
  const child = spawn('strace', ['-I2', '-f', '-q', '-o', file, ...words, ...line], { stdio: 'ignore' })
  const ended = once(child, 'close')
  const deadline = performance.now() + FOLLOW_MS
  const written = (): string => readFileSync(file, 'latin1')
  const isOver = (text: string): boolean => {
    const first = /^\d+/.exec(text)?.[0]
    return first !== undefined && new RegExp(`^${first} +\\+\\+\\+ `, 'm').test(text)
  }
  while (!isOver(written())) {
    // strace ends as the followed process did, by the same signal.
    if (child.exitCode !== null || child.signalCode !== null) break
    if (performance.now() > deadline) {
      child.kill('SIGINT')
      throw new Error(`${line.join(' ')} did not end under strace within ${FOLLOW_MS} ms`)
    }
    await sleep(20)
  }
  return await endStrace(child, ended, written)
}

/** On SIGINT strace detaches from the process, as on ^C. */
async function endStrace(
  child: ChildProcess,
  ended: Promise<unknown>,
  output: () => string,
): Promise<string> {
  child.kill('SIGINT')
  await ended
  return output()
}

/** How often each call is in the output of strace: the maximum over its processes. */
export function countCalls(output: string): Map<string, number> {
  const counts = new Map<string, Map<string, number>>()
  for (const line of output.split('\n')) {
    // With -f and a file, a line begins with the pid.
    const [, pid = '', name] = /^(?:(\d+) +)?([a-z]\w+)\(/.exec(line) ?? []
    if (name === undefined) continue
    const ofPid = counts.get(pid) ?? new Map<string, number>()
    ofPid.set(name, (ofPid.get(name) ?? 0) + 1)
    counts.set(pid, ofPid)
  }
  const most = new Map<string, number>()
  for (const ofPid of counts.values())
    for (const [name, count] of ofPid) most.set(name, Math.max(count, most.get(name) ?? 0))
  return most
}

export const sitesOf = (counts: ReadonlyMap<string, number>): CallSite[] =>
  [...counts].flatMap(([name, count]) =>
    Array.from({ length: count }, (_, index) => ({ name, nth: index + 1 })),
  )
