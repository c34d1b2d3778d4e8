/** A guest's serial output in a file: its ticks, and whether they are of one unbroken run. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findBreak, readTicks, type Tick } from '../../testbed/guests/ticks.ts'

/** The ticks that a guest wrote to a file. */
export class Serial {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  text(): string {
    return readFileSync(this.path, 'latin1')
  }

  ticks(): Tick[] {
    return readTicks(this.text())
  }

  /** Waits until the guest has ticked `count` times more than now. */
  async moreTicks(count: number, timeoutMs = 30_000): Promise<void> {
    await this.until(this.ticks().length + count, timeoutMs)
  }

  async until(total: number, timeoutMs = 30_000): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (this.ticks().length < total) {
      if (performance.now() > deadline)
        throw new Error(`no tick ${total} within ${timeoutMs} ms: ${this.text().slice(-500)}`)
      await sleep(30)
    }
  }

  /** The first fault in the whole output, or undefined. */
  findBreak(): string | undefined {
    return findBreak(this.ticks())
  }
}

/**
 * A serial port with a file of its own. QEMU's standard output is not that of the guest where `qemu-io`
 * writes to it, in the middle of a tick's line.
 */
export function serialFile(folder: string): { serial: Serial; options: string[] } {
  const path = join(folder, 'serial')
  const options = ['-chardev', `file,id=serial0,path=${path},append=on`, '-serial', 'chardev:serial0']
  writeFileSync(path, '')
  return { serial: new Serial(path), options }
}
