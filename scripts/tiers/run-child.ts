/**
 * One program of a test in a process of its own: its environment, its time limit, what it left behind. Must
 * not: print, as the caller gets the program's output.
 */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { FUSE_TYPE } from '../../src/linux/mounts.ts'
import { MARKER, removeLeftovers } from './leftovers.ts'

export interface Place {
  readonly project: string
  /**
   * This test's own folder: its TMPDIR is in it, and nothing of it may be left running or mounted afterwards.
   */
  readonly folder: string
}

export interface ChildResult {
  /** Its exit code or signal as words, or `undefined` for a clean end. */
  readonly end: string | undefined
  /** What the program left behind, and this removed. */
  readonly left: readonly string[]
  readonly output: string
  readonly durationMs: number
}

/** The marker finds children that left the process group; PATH makes `node` mean this Node. */
const environment = (folder: string): NodeJS.ProcessEnv => ({
  ...process.env,
  [MARKER]: folder,
  TMPDIR: join(folder, 't'),
  NODE_COMPILE_CACHE: compiledOf(dirname(folder)),
  PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
})

/** In a run's folder: what Node has compiled of the sources, for all programs of this run. */
export const compiledOf = (runFolder: string): string => join(runFolder, 'compiled')

/** The file with a test's output while it runs. */
export const outputOf = (folder: string): string => join(folder, 'output')

/** Runs this Node with `args`, bounded. `read` is called before the folder is removed. */
export async function runChild<T>(
  args: readonly string[],
  place: Place,
  timeoutMs: number,
  read: () => T,
): Promise<ChildResult & { readonly value: T }> {
  const { folder } = place
  mkdirSync(join(folder, 't'), { recursive: true })
  const started = performance.now()
  const end = await runProcess(args, place, timeoutMs)
  const durationMs = performance.now() - started
  const left = [...(await removeLeftovers(folder)), ...leftInNamespace(folder)]
  const value = read()
  const output = readFileSync(outputOf(folder), 'utf8')
  // Not with a mount that could not be unmounted: rm would delete what is mounted, or block on a dead server.
  if (left.length === 0) rmSync(folder, { recursive: true, force: true })
  return { end, left, output, durationMs, value }
}

/** A file in the test's folder: the mounts below it when the test has ended. */
const MOUNTS = 'mounts'

/**
 * Root's tests have a mount namespace each, with a /run/guestmemfs of its own, and without what `install` has
 * recorded of this machine: they see no pools of it or of a killed run, and the kernel unmounts what they
 * leave with the namespace. It is reported all the same: a mount that a test leaves is a fault.
 */
const IN_NAMESPACE = `
mkdir -p /run/guestmemfs && mount -t tmpfs -o mode=755 guestmemfs-test /run/guestmemfs || exit 1
[ ! -d /var/lib/guestmemfs ] || mount -t tmpfs -o mode=755 guestmemfs-test /var/lib/guestmemfs || exit 1
for dead in $(findmnt --noheadings --list --types ${FUSE_TYPE} --output TARGET); do umount --lazy "$dead"; done
folder=$1
shift
"$@"
status=$?
findmnt --noheadings --list --output TARGET,FSTYPE | grep -F "$folder/" >"$folder/${MOUNTS}"
exit $status`

function inNamespace(folder: string, command: readonly string[]): readonly string[] {
  if (process.getuid?.() !== 0) return command
  return ['unshare', '--mount', '--', 'sh', '-c', IN_NAMESPACE, 'sh', folder, ...command]
}

function leftInNamespace(folder: string): string[] {
  const path = join(folder, MOUNTS)
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => `mount ${line.replace(/ +/, ' ')}`)
}

const LAST_WORDS_MS = 5000

/** Process groups of children that run now. */
const running = new Set<number>()

/** On a signal, ends the running children first, removes what they left, then ends this process. */
export function endOnSignals(folder: string): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, async () => {
      // A testbed removes its own folder. Children that do not end by themselves are killed with the rest.
      for (const pid of running) endGroup(pid, 'SIGTERM')
      await removeLeftovers(folder, LAST_WORDS_MS)
      rmSync(folder, { recursive: true, force: true })
      process.exit(1)
    })
}

function endGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    // It has ended by itself.
  }
}

/** A shell in between reports a signal as 128 and its number. */
function describeStatus(code: number): string {
  const [signal] = Object.entries(constants.signals).find(([, number]) => code === 128 + number) ?? []
  return signal ?? `exit code ${code}`
}

function runProcess(
  args: readonly string[],
  { project, folder }: Place,
  timeoutMs: number,
): Promise<string | undefined> {
  const output = openSync(outputOf(folder), 'w')
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', ...args]
  const [program = '', ...words] = inNamespace(folder, node)
  const child = spawn(program, words, {
    cwd: project,
    env: environment(folder),
    detached: true,
    stdio: ['ignore', output, output],
  })
  closeSync(output)
  if (child.pid !== undefined) running.add(child.pid)
  return new Promise((resolve) => {
    let late = false
    const timer = setTimeout(() => {
      late = true
      // `detached` made the group; a negative pid means all of it.
      if (child.pid !== undefined) endGroup(child.pid, 'SIGKILL')
    }, timeoutMs)
    child.once('error', (error) => resolve(`did not start: ${error.message}`))
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      running.delete(child.pid ?? 0)
      if (late) resolve(`ran longer than ${timeoutMs / 1000} s and was ended`)
      else resolve(code === 0 ? undefined : `ended with ${signal ?? describeStatus(code ?? 0)}`)
    })
  })
}
