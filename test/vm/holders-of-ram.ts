/** The QEMUs that a guest's RAM is in. */
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestVm } from './support.ts'

/**
 * The processes that have the VM's RAM file open or mapped, but the pool's own; waits until those that are
 * just ending have ended.
 */
export async function qemusOf({ ramFile }: Pick<TestVm, 'ramFile'>): Promise<number[]> {
  const deadline = performance.now() + 10_000
  for (;;) {
    const found = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && maps(pid).includes(ramFile))
    if (found.length <= 1 || performance.now() > deadline) return found.map(Number)
    await sleep(50)
  }
}

function maps(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/maps`, 'latin1')
  } catch {
    return '' // it has ended
  }
}
