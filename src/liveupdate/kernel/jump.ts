/**
 * The kexec into the loaded kernel, or the reason why there was none. Must not: load, save or undo anything,
 * which the caller does. Both methods start the loaded kernel: `systemctl kexec` loads one only where none is
 * (load_kexec_kernel(), systemd's src/systemctl/systemctl-start-special.c).
 */
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { rebootByKexec } from '../../linux/kexec.ts'
import type { KexecMethod } from '../preflight/check-host.ts'

const LOOK_EVERY_MS = 500
/** A machine that systemd has not begun to stop by then does not stop. */
const STOPS_WITHIN_MS = 10_000

/** Returns only if there was no jump, with the reason. */
export async function jump(via: KexecMethod): Promise<string> {
  return via === 'kexec' ? `the kernel refused the jump: ${rebootByKexec()}` : await jumpThroughSystemd()
}

/**
 * systemd stops all services, unmounts, and starts the loaded kernel. It sends this process SIGTERM or
 * SIGHUP, too: while systemd is stopping the machine, that signal is no reason to roll back. It may come
 * before systemctl has ended, and systemctl may get it as well.
 */
async function jumpThroughSystemd(): Promise<string> {
  const signalled = Promise.withResolvers<NodeJS.Signals>()
  for (const signal of STOPPED_BY) process.once(signal, signalled.resolve)
  const { status, signal, stderr, error } = spawnSync('systemctl', ['kexec'], { encoding: 'utf8' })
  if (error) return `systemctl does not start: ${error.message}`
  const isRefused = status !== 0 && signal === null
  if (isRefused && !isStopping()) return `systemctl kexec failed: ${stderr.trim().split('\n').at(-1)}`
  const patienceMs = performance.now() + STOPS_WITHIN_MS
  do {
    const stoppedBy = await Promise.race([signalled.promise, sleep(LOOK_EVERY_MS)])
    if (stoppedBy !== undefined) {
      if (!isStopping()) return `stopped by ${stoppedBy}`
      endBy(stoppedBy)
    }
  } while (isStopping() || performance.now() < patienceMs)
  return 'systemctl kexec did not stop the machine'
}

const STOPPED_BY = ['SIGTERM', 'SIGHUP'] as const

/** At once: systemd waits for this process, and the stopped guests with it. */
function endBy(signal: NodeJS.Signals): never {
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  process.exit(1)
}

function isStopping(): boolean {
  const ask = () => spawnSync('systemctl', ['is-system-running'], { encoding: 'utf8' })
  const first = ask()
  // The signal to this process may have ended systemctl as well, before it answered. It comes once.
  const { stdout } = first.signal === null ? first : ask()
  return stdout?.trim() === 'stopping'
}
