/**
 * Owns running one test file in a process of its own: its environment, its time limit, its result.
 * Must not print; output of the file is kept for whoever wants to show it.
 */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestEvent } from './event-log.ts'
import { MARKER, removeLeftovers } from './leftovers.ts'

export interface FileResult {
  readonly path: string
  readonly events: readonly TestEvent[]
  /** What went wrong with the file as a whole: time limit, crash, leftovers, no test at all. */
  readonly problems: readonly string[]
  readonly output: string
  readonly durationMs: number
}

interface Place {
  readonly project: string
  /** This file's own folder: its TMPDIR is in it, and nothing of it may be left running or mounted afterwards. */
  readonly folder: string
}

const reporter = join(import.meta.dirname, 'event-log.ts')

/** The marker finds children that left the process group; PATH makes `node` mean this Node. */
const environment = (folder: string): NodeJS.ProcessEnv => ({
  ...process.env,
  [MARKER]: folder,
  TMPDIR: join(folder, 't'),
  PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
})

/** Exit of the child: its code or signal as words, or `undefined` for a clean end. */
function runProcess(
  path: string,
  { project, folder }: Place,
  timeoutMs: number,
): Promise<string | undefined> {
  const output = openSync(join(folder, 'output'), 'w')
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      `--test-reporter=${reporter}`,
      `--test-reporter-destination=${join(folder, 'events')}`,
      path,
    ],
    { cwd: project, env: environment(folder), detached: true, stdio: ['ignore', output, output] },
  )
  closeSync(output)
  return new Promise((resolve) => {
    let late = false
    const timer = setTimeout(() => {
      late = true
      // The group is ours: `detached` made it. Negative means all of it.
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, timeoutMs)
    child.once('error', (error) => resolve(`did not start: ${error.message}`))
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      if (late) resolve(`ran longer than ${timeoutMs / 1000} s and was ended`)
      else resolve(code === 0 ? undefined : `ended with ${signal ?? `exit code ${code}`}`)
    })
  })
}

function readEvents(folder: string): TestEvent[] {
  const path = join(folder, 'events')
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as TestEvent)
}

/** Problems of the file itself; an exit code that its own failed tests explain is none. */
function problemsOf(end: string | undefined, events: readonly TestEvent[]): string[] {
  if (
    end !== undefined &&
    !(end === 'ended with exit code 1' && events.some(({ outcome }) => outcome === 'failed'))
  ) {
    return [end]
  }
  return events.length === 0 ? ['holds no test'] : []
}

export async function runFile(path: string, place: Place, timeoutMs: number): Promise<FileResult> {
  const { folder } = place
  mkdirSync(join(folder, 't'), { recursive: true })
  const started = performance.now()
  const end = await runProcess(path, place, timeoutMs)
  const durationMs = performance.now() - started
  const left = await removeLeftovers(folder)
  const events = readEvents(folder)
  const problems = [...problemsOf(end, events), ...left.map((what) => `left behind ${what}`)]
  const output = readFileSync(join(folder, 'output'), 'utf8')
  // A mount that did not come away is not walked into: rm would delete what is mounted, or wait for a dead server.
  if (left.length === 0) rmSync(folder, { recursive: true, force: true })
  return { path, events, problems, output, durationMs }
}
