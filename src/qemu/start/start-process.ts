/**
 * The start of a VM's QEMU by another command: a process of its own session, which becomes QEMU and outlives
 * that command.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { compileCacheEnvironment } from '../../linux/compile-cache.ts'
import type { ProcessEnd } from '../../linux/process.ts'
import { lowerDescriptorLimit } from '../../linux/process-limits.ts'
import { identify, type ProcessIdentity } from '../../run/process-identity.ts'
import { makeVmDirectory, readRuntime, vmPaths } from '../../run/vm-runtime.ts'
import { QemuError, UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { ROOT_ENVIRONMENT } from '../identity.ts'
import { ramFileOf, type VmDefinition } from '../vm-definition.ts'
import { waitForQmp } from '../wait-for-qmp.ts'

const START_TIMEOUT_MS = 60_000

/** `start-main.ts` in the sources, `.js` in the built package. */
const MAIN = fileURLToPath(new URL(`start-main${import.meta.url.slice(-3)}`, import.meta.url))

/** The words that run it, without its own. */
export const STARTER: readonly string[] = [process.execPath, ...process.execArgv, MAIN]

/** Standard input, output and error of QEMU: descriptors of this process. */
export type Streams = readonly [number, number, number]

export interface StartPlace {
  readonly streams: Streams
  /** Of `openNamespaces`. */
  readonly namespaces?: readonly Fd[]
}

/** A process that is about to be, or is, QEMU. */
export interface Started {
  readonly process: ProcessIdentity
  /** Resolves with a description of its end, if this process still runs. */
  readonly ended: Promise<string>
  /** What it wrote to standard error before it became QEMU: the reason why it did not. */
  readonly output: () => Promise<string>
}

export const starterEnvironment = (): Record<string, string> => ({
  ...ROOT_ENVIRONMENT,
  NODE_COMPILE_CACHE: compileCacheEnvironment().NODE_COMPILE_CACHE ?? '',
})

/** The QEMU of the VM recorded on `ramFile`; `next`: after another one of the guest. Errors: QemuError. */
export function startQemu(how: 'first' | 'next', ramFile: string, place: StartPlace): Started {
  const { streams, namespaces = [] } = place
  return startStarter([how, ramFile], [...streams, ...namespaces], namespaces.length)
}

/** `stdio`: descriptors of this process; the last ones are of `namespaces` namespaces. Errors: QemuError. */
export function startStarter(
  words: readonly string[],
  stdio: (number | 'ignore' | 'pipe')[],
  namespaces = 0,
): Started {
  const numbers = Array.from({ length: namespaces }, (_, index) => stdio.length - namespaces + index).join(
    ' ',
  )
  const [program = '', ...before] = STARTER
  const child = spawn(program, [...before, ...words], {
    cwd: '/',
    env: { ...starterEnvironment(), GUESTMEMFS_NAMESPACES: numbers },
    detached: true,
    stdio,
  })
  const output = child.stderr === null ? Promise.resolve('') : text(child.stderr).catch(() => '')
  child.unref()
  const ended = endOfChild(child)
  const identity = child.pid === undefined ? undefined : identify(child.pid)
  if (identity === undefined) throw new QemuError('a process of guestmemfs could not be started')
  return { process: identity, ended, output: () => output }
}

/** Resolves with a description of its end. */
export const endOfChild = (child: ChildProcess): Promise<string> =>
  new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(describeEnd({ code, signal })))
    child.once('error', ({ message }) => resolve(`could not be started: ${message}`))
  })

export const describeEnd = ({ code, signal }: ProcessEnd): string =>
  signal === null ? `ended with status ${code}` : `was killed by ${signal}`

/**
 * The effect that `-daemonize` has: returns when QEMU answers on QMP. Errors (UsageError): it did not, with
 * the last line of its log.
 */
export async function startInBackground(definition: VmDefinition): Promise<void> {
  const { name } = definition
  const streams = logStreams(name)
  const logBytes = fstatSync(streams[1]).size
  const before = readRuntime(name)
  // The process that becomes QEMU takes this one's limit for its own.
  lowerDescriptorLimit()
  const { ended } = startQemu('first', ramFileOf(definition), { streams })
  closeStreams(streams)
  try {
    const qmp = await waitForQmp({ name, before, ended, timeoutMs: START_TIMEOUT_MS })
    qmp.close()
  } catch (cause) {
    const output = readFileSync(vmPaths(name).log).subarray(logBytes).toString('utf8').trim()
    throw new UsageError(output.split('\n').at(-1) || (cause as Error).message, { cause })
  }
}

/** No input, and the VM's log for output. The caller closes them with `closeStreams`. */
export function logStreams(name: string): Streams {
  const log = openSync(makeVmDirectory(name).log, 'a', 0o600)
  return [openSync('/dev/null', 'r'), log, log]
}

export function closeStreams(streams: Streams): void {
  for (const fd of new Set(streams)) closeSync(fd)
}
