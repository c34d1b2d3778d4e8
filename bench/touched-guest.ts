/**
 * The guest that the blackout bench updates: the tiny guest, with all of its RAM touched beforehand. Filling
 * the file from outside takes seconds where a guest under emulation would need minutes; to QEMU the pages are
 * the same.
 */

import { execFile } from 'node:child_process'
import { closeSync, ftruncateSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { findBreak, readTicks } from '../testbed/guests/ticks.ts'
import { buildTinyGuest } from '../testbed/guests/tiny-guest.ts'

/** The guest checks this much of its RAM; the rest is only kept. */
const CHECKED_MIB = 16
const fillWorker = join(import.meta.dirname, '../testbed/programs/measure/fill.ts')

export function writeGuestKernel(path: string): void {
  writeFileSync(path, buildTinyGuest({ mebibytes: CHECKED_MIB, strideBytes: 4096 }))
}

/** A RAM file of `bytes` in which no page is zero. */
export async function makeTouchedRam(path: string, bytes: number): Promise<void> {
  const fd = openSync(path, 'w')
  ftruncateSync(fd, bytes)
  closeSync(fd)
  await promisify(execFile)(process.execPath, [fillWorker, path, String(bytes)], { timeout: 120_000 })
}

/**
 * QEMU's options that both sides share. `ramFile` is the guest's whole RAM; serial output is appended to
 * `serial`.
 */
export const qemuOptions = (
  files: { kernel: string; ramFile: string; serial: string },
  bytes: number,
): string[] => [
  ...['-machine', 'q35,memory-backend=ram', '-accel', 'tcg', '-m', `${bytes / 1024 ** 2}M`, '-nodefaults'],
  ...['-object', `memory-backend-file,id=ram,size=${bytes},mem-path=${files.ramFile},share=on,align=2M`],
  ...['-kernel', files.kernel, '-display', 'none'],
  ...['-chardev', `file,id=serial,path=${files.serial},append=on`, '-serial', 'chardev:serial'],
]

/** Waits until the guest has ticked `more` times more. Errors: it does not, or its memory has changed. */
export async function waitForTicks(serial: string, more: number): Promise<void> {
  const ticks = () => readTicks(readFileSync(serial, { encoding: 'latin1', flag: 'a+' }))
  const goal = ticks().length + more
  for (let wait = 0; ticks().length < goal; wait += 1) {
    if (wait > 600) throw new Error(`the guest stopped ticking after ${ticks().length}`)
    await sleep(100)
  }
  const broken = findBreak(ticks())
  if (broken !== undefined) throw new Error(`the guest lost its memory: ${broken}`)
}
