/** The start of a VM's supervisor in the background, with streams that outlive the process that starts it. */
import { spawn } from 'node:child_process'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { makeVmDirectory, readRuntime, vmPaths } from '../run/vm-runtime.ts'
import { UsageError } from '../values/errors.ts'
import { ROOT_ENVIRONMENT } from './identity.ts'
import type { Streams } from './qemu-process.ts'
import { ramFileOf, type VmDefinition } from './vm-definition.ts'
import { waitForQmp } from './wait-for-qmp.ts'

const START_TIMEOUT_MS = 60_000

/** `supervisor-main.ts` in the sources, `.js` in the built package. */
const MAIN = fileURLToPath(new URL(`supervisor-main${import.meta.url.slice(-3)}`, import.meta.url))

/**
 * Starts the VM recorded on `ramFile` under a supervisor of its own, in a new session. The promise resolves
 * if that supervisor ends while this process runs.
 */
export function superviseInBackground(ramFile: string, streams: Streams): Promise<void> {
  const child = spawn(process.execPath, [...process.execArgv, MAIN, ramFile], {
    cwd: '/',
    env: ROOT_ENVIRONMENT,
    detached: true,
    stdio: [...streams],
  })
  child.unref()
  return new Promise((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
}

/**
 * What `-daemonize` means to a person: returns when QEMU answers on QMP. Errors (UsageError): it did not,
 * with the last line of its log.
 */
export async function startInBackground(definition: VmDefinition): Promise<void> {
  const { name } = definition
  const streams = logStreams(name)
  const logBytes = fstatSync(streams[1]).size
  const before = readRuntime(name)
  const supervisorExited = superviseInBackground(ramFileOf(definition), streams)
  closeStreams(streams)
  try {
    const qmp = await waitForQmp({ name, before, supervisorExited, timeoutMs: START_TIMEOUT_MS })
    qmp.close()
  } catch (cause) {
    const said = readFileSync(vmPaths(name).log).subarray(logBytes).toString('utf8').trim()
    throw new UsageError(said.split('\n').at(-1) || (cause as Error).message, { cause })
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
