/**
 * A guest whose saves can be made slow by a second monitor: a save lifts QEMU's limit for itself, so the
 * limit is set again and again.
 */
import { getPriority, setPriority } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { QmpClient } from '../../src/qemu/qmp-client.ts'

const PAUSE_MS = 2

const socketOf = (folder: string): string => join(folder, 'second-monitor')

export const secondMonitor = (folder: string): string[] => [
  '-qmp',
  `unix:${socketOf(folder)},server=on,wait=off`,
]

/** Until what it returns is called, or the test ends. `folder`: as given to `secondMonitor`. */
export async function slowSaves(
  t: TestContext,
  folder: string,
  bytesPerSecond: number,
): Promise<() => Promise<void>> {
  const qmp = await QmpClient.connect(socketOf(folder), 5000)
  let isOver = false
  // Where other tests have the processors, QEMU would have written everything before this one's turn.
  const nice = getPriority()
  setPriority(-20)
  const limit = async (): Promise<void> => {
    while (!isOver) {
      await qmp.execute('migrate-set-parameters', { 'max-bandwidth': bytesPerSecond })
      await sleep(PAUSE_MS)
    }
  }
  // Its QEMU may end meanwhile.
  const over = limit().catch(() => {})
  const stop = async (): Promise<void> => {
    isOver = true
    await over
    setPriority(nice)
    qmp.close()
  }
  t.after(stop)
  return stop
}
