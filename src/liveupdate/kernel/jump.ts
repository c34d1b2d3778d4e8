/**
 * The jump into the loaded kernel, or the reason why there was none. Must not load, save or undo anything:
 * the caller does. Both ways start the kernel that is loaded: `systemctl kexec` loads one only where none is
 * (load_kexec_kernel(), systemd's src/systemctl/systemctl-start-special.c).
 */
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { jumpIntoKernel } from '../../linux/kexec.ts'
import type { KexecMethod } from '../preflight/check-host.ts'

const LOOK_EVERY_MS = 500
/** After this, a machine that was told to stop and does not is not going to. */
const STOPS_WITHIN_MS = 10_000

/** Returns only if there was no jump, with the reason. */
export async function jump(via: KexecMethod): Promise<string> {
  return via === 'kexec' ? `the kernel refused the jump: ${jumpIntoKernel()}` : await jumpThroughSystemd()
}

/**
 * systemd stops everything, unmounts, and starts the kernel that is loaded. It stops this process on the way:
 * that is the good end, and no signal to undo anything. The signal may come before systemctl has ended, and
 * to systemctl as well.
 */
async function jumpThroughSystemd(): Promise<string> {
  const told = Promise.withResolvers<NodeJS.Signals>()
  for (const signal of STOPPED_BY) process.once(signal, told.resolve)
  const { status, signal, stderr, error } = spawnSync('systemctl', ['kexec'], { encoding: 'utf8' })
  if (error) return `systemctl does not start: ${error.message}`
  const isRefused = status !== 0 && signal === null
  if (isRefused && !isStopping()) return `systemctl kexec failed: ${stderr.trim().split('\n').at(-1)}`
  const patienceMs = performance.now() + STOPS_WITHIN_MS
  do {
    const stoppedBy = await Promise.race([told.promise, sleep(LOOK_EVERY_MS)])
    if (stoppedBy !== undefined) {
      if (!isStopping()) return `stopped by ${stoppedBy}`
      endBy(stoppedBy)
    }
  } while (isStopping() || performance.now() < patienceMs)
  return 'systemctl kexec did not stop the machine'
}

const STOPPED_BY = ['SIGTERM', 'SIGHUP'] as const

/** At once: systemd waits for this process, and the guests with it. */
function endBy(signal: NodeJS.Signals): never {
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  process.exit(1)
}

function isStopping(): boolean {
  const ask = () => spawnSync('systemctl', ['is-system-running'], { encoding: 'utf8' })
  const first = ask()
  // The signal that stops us may have hit it instead of an answer. It comes once.
  const { stdout } = first.signal === null ? first : ask()
  return stdout?.trim() === 'stopping'
}
