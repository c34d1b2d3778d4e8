/**
 * Commands that the supervisor runs before each QEMU of a guest and after its end: a helper that serves one
 * connection (swtpm, virtiofsd, passt) ends with the QEMU that had it, and must be started again. They run as
 * the VM's user, in its directory, with its environment, its standard output and error.
 */
import { once } from 'node:events'
import { LATE, within } from '../values/within.ts'
import { spawnQemu } from './spawn-qemu.ts'
import type { VmDefinition } from './vm-definition.ts'

/** A helper that does not start must not hold up a guest for ever. */
export const HOOK_TIMEOUT_MS = 30_000

type Hooked = Pick<VmDefinition, 'name' | 'cwd' | 'uid' | 'gid' | 'groups' | 'environment'>

/**
 * Runs `command` by sh(1) to its end; processes that it leaves in the background go on. Returns why it
 * failed; undefined: it did not. `streams`: of the VM; a hook does not get its input. Never rejects.
 */
export async function runHook(
  vm: Hooked,
  command: string,
  streams: readonly [number, number, number],
  timeoutMs = HOOK_TIMEOUT_MS,
): Promise<string | undefined> {
  const launch = { argv: ['/bin/sh', '-c', command], credentials: vm, environment: vm.environment }
  const said = (what: string): string => `'${command}' ${what}`
  try {
    const child = spawnQemu(vm, launch, ['ignore', streams[1], streams[2]], { detached: true })
    const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
    const first = await within(ended, timeoutMs)
    if (first === LATE) {
      // The command with its children: it leads a process group of its own.
      process.kill(-(child.pid as number), 'SIGKILL')
      return said(`did not end within ${timeoutMs} ms`)
    }
    const [code, signal] = first
    if (code === 0) return undefined
    return said(signal === null ? `ended with status ${code}` : `was killed by ${signal}`)
  } catch (error) {
    return said(`could not be run: ${(error as Error).message}`)
  }
}
