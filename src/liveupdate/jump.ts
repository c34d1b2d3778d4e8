/**
 * Owns the last step: from here into the loaded kernel, or an answer why not. Must not save or undo anything: whoever calls
 * has done the one and does the other.
 */
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { jumpIntoKernel } from '../linux/kexec.ts'
import type { Via } from './host-check.ts'

const LOOK_EVERY_MS = 500
/** After this, a machine that was told to stop and does not is not going to. */
const STOPS_WITHIN_MS = 10_000

/** Returns only if there was no jump, with the reason. */
export async function jump(via: Via): Promise<string> {
  return via === 'kexec' ? `the kernel refused the jump: ${jumpIntoKernel()}` : await jumpThroughSystemd()
}

/**
 * systemd stops everything, unmounts, and starts the kernel that is loaded. We are stopped on the way, like everybody:
 * that is the good end, and no signal to undo anything.
 */
async function jumpThroughSystemd(): Promise<string> {
  const { status, stderr, error } = spawnSync('systemctl', ['kexec'], { encoding: 'utf8' })
  if (error) return `systemctl does not start: ${error.message}`
  if (status !== 0) return `systemctl kexec failed: ${stderr.trim().split('\n').at(-1)}`
  process.removeAllListeners('SIGTERM')
  process.removeAllListeners('SIGHUP')
  const patienceMs = performance.now() + STOPS_WITHIN_MS
  while (isStopping() || performance.now() < patienceMs) await sleep(LOOK_EVERY_MS)
  return 'systemctl kexec did not stop the machine'
}

function isStopping(): boolean {
  const { stdout } = spawnSync('systemctl', ['is-system-running'], { encoding: 'utf8' })
  return stdout?.trim() === 'stopping'
}
