/**
 * Commands before each QEMU of a guest and after its end: a helper that serves one connection (swtpm,
 * virtiofsd, passt) ends with the QEMU that had it, and must be started again. They run as the VM's user, in
 * its directory, with its environment, its standard output and error.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { formatTimeout } from '../values/duration.ts'
import { LATE, within } from '../values/within.ts'
import { forwardSignals } from './forward-signals.ts'
import { spawnQemu } from './start/spawn-qemu.ts'
import type { VmDefinition } from './vm-definition.ts'

/** A guest waits no longer for a helper that does not start. */
export const HOOK_TIMEOUT_MS = 30_000

type Hooked = Pick<VmDefinition, 'name' | 'cwd' | 'uid' | 'gid' | 'groups' | 'environment'>

/**
 * Runs `command` by sh(1) to its end; processes that it leaves in the background go on. Returns why it
 * failed; undefined: it did not. A signal to this process is passed on to it, and is a failure, unless
 * `onSignal` is 'finish'. `streams`: of the VM; a hook does not get its input. Never rejects.
 */
export async function runHook(
  vm: Hooked,
  command: string,
  streams: readonly [number, number, number],
  timeoutMs = HOOK_TIMEOUT_MS,
  onSignal: 'pass-on' | 'finish' = 'pass-on',
): Promise<string | undefined> {
  const launch = { argv: ['/bin/sh', '-c', command], credentials: vm, environment: vm.environment }
  const about = (what: string): string => `'${command}' ${what}`
  let child: ChildProcess | undefined
  let received: NodeJS.Signals | undefined
  // This process takes signals from before the start on: one that came in between would end it, and leave the
  // command running.
  const passOn = (signal: NodeJS.Signals): void => {
    received = signal
    if (child !== undefined) signalGroup(child, signal)
  }
  const stopForwarding = onSignal === 'pass-on' ? forwardSignals(passOn) : () => {}
  try {
    child = spawnQemu(vm, launch, ['ignore', streams[1], streams[2]], { detached: true })
    const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
    const first = await within(ended, timeoutMs)
    if (first === LATE) {
      signalGroup(child, 'SIGKILL')
      return about(`did not end within ${formatTimeout(timeoutMs)}`)
    }
    const [code, signal] = first
    // Whether it ended by the signal or not: the caller must start nothing after it.
    if (received !== undefined) return about(`got ${received}`)
    if (code === 0) return undefined
    return about(signal === null ? `ended with status ${code}` : `was killed by ${signal}`)
  } catch (error) {
    return about(`could not be run: ${(error as Error).message}`)
  } finally {
    stopForwarding()
  }
}

/** To the command with its children, which leads a process group of its own. */
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // It has ended, and left nothing in its group.
  }
}
