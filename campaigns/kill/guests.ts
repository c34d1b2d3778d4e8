/**
 * Guests with RAM in the pool: real QEMUs whose guests check every word of a pattern and print the results.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lgetxattr } from '../../src/linux/xattr.ts'
import { Errno } from '../../src/values/errno.ts'
import { MAP_XATTR } from '../../src/values/xattr-names.ts'
import { QEMU, ramOptions } from '../../test/vm/support.ts'
import { type Accelerator, isInternalError } from '../../testbed/guests/kvm-probe.ts'
import { findBreak, firstBadWord, readTicks } from '../../testbed/guests/ticks.ts'
import { buildTinyGuest } from '../../testbed/guests/tiny-guest.ts'
import { machineWith } from './accelerator.ts'
import type { PoolHost } from './pool-host.ts'

const PATTERN_MIB = 8
export const GUEST_RAM_MIB = 32
/** Twentieths of a second between two passes, so that the guests leave processors to the killed processes. */
const PACE = 10

/**
 * Returns what QEMU is to map: the file, or its window of /dev/mem as `guestmemfs run` would put it there.
 */
function makeRam(host: PoolHost, name: string): string {
  const seen = join(host.root(), name)
  writeFileSync(seen, '')
  truncateSync(seen, GUEST_RAM_MIB * 2 ** 20)
  const map = lgetxattr(seen, MAP_XATTR)
  if (map instanceof Errno) throw new Error(`${MAP_XATTR} of ${seen}: ${map}`)
  const { kind, path, offsetBytes } = JSON.parse(Buffer.from(map).toString()) as Record<string, string>
  return kind === 'window' ? `${path},offset=${offsetBytes}` : join(host.mountPoint, name)
}

export class Guest {
  readonly #serial: string
  /** The file of QEMU's standard error. */
  readonly #complaints: string
  readonly #process: ChildProcess
  readonly #ended: Promise<unknown>
  readonly #name: string

  private constructor(name: string, serial: string, complaints: string, process: ChildProcess) {
    this.#name = name
    this.#serial = serial
    this.#complaints = complaints
    this.#process = process
    this.#ended = once(process, 'exit')
  }

  /** `folder` is for its kernel and its output; `number` gives it a pattern of its own. */
  static start(host: PoolHost, folder: string, number: number, accelerator: Accelerator): Guest {
    const name = `guest-${number}`
    const [kernel, serial] = [join(folder, `${name}.bin`), join(folder, `${name}.out`)]
    const complaints = join(folder, `${name}.err`)
    writeFileSync(kernel, buildTinyGuest({ mebibytes: PATTERN_MIB, seed: number, pace: PACE }))
    const ram = ramOptions(makeRam(host, `${name}-ram`), `${GUEST_RAM_MIB}M`)
    const machine = [...machineWith(accelerator), '-machine', 'memory-backend=ram']
    const line = [...host.inside(), QEMU, ...machine, ...ram, '-kernel', kernel, '-serial', 'stdio']
    const [output, errors] = [openSync(serial, 'a'), openSync(complaints, 'a')]
    const child = spawn(line[0] as string, line.slice(1), { stdio: ['ignore', output, errors] })
    closeSync(output)
    closeSync(errors)
    return new Guest(name, serial, complaints, child)
  }

  get ticks(): number {
    return readTicks(this.#text()).length
  }

  #text(): string {
    return readFileSync(this.#serial, 'latin1')
  }

  /** Throws where a tick is missing or a word was wrong, or where it cannot go on. Returns its ticks. */
  check(): number {
    const text = this.#text()
    const wrong = findBreak(readTicks(text))
    if (wrong !== undefined) throw new Error(`${this.#name}: ${wrong}${firstBadWord(text)}`)
    const complaint = readFileSync(this.#complaints, 'latin1').trim()
    if (this.#process.exitCode !== null)
      throw new Error(`${this.#name} ended with status ${this.#process.exitCode}: ${complaint}`)
    if (isInternalError(complaint)) throw new Error(`${this.#name} is stopped: ${complaint}`)
    return this.ticks
  }

  async end(): Promise<void> {
    this.#process.kill('SIGKILL')
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.#ended
  }
}
