/**
 * The host as a scenario sees it: run a command, start a program and follow its log, jump to another kernel.
 * Every wait has a time limit and fails at once when the host crashes. Must not: depend on a scenario.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Message } from '../inside/protocol.ts'
import { type Boot, BootClock } from './boot-clock.ts'
import { Channel, type Order } from './channel.ts'
import { ConsoleTicks } from './console-ticks.ts'
import {
  type HostEvidence,
  MAX_LAST_WORDS,
  PRINT_STOPPED,
  PRINTS,
  type QemuStart,
  readTail,
  type StoppedGuest,
} from './evidence.ts'
import { HostLogs } from './host-logs.ts'
import { HostError, type Log, ScriptError, within } from './log.ts'
import { Machine, type MachineOptions } from './machine.ts'

type Hello = Extract<Message, { type: 'hello' }>
type Notice = Exclude<Message, { type: 'ran' | 'started' }>

// An emulated host on a busy machine is slow: these limits are for what hangs, not for what is late.
export const BOOT_TIMEOUT_MS = 300_000
const RUN_TIMEOUT_MS = 180_000
const MONITOR_TIMEOUT_MS = 120_000
const SOCKET_PAUSE_MS = 50
const LAST_WORDS_MS = 1500
/** The agent looks for QEMUs twice a second. */
const LAST_NOTICES_S = 1.2
const LAST_REGISTERS_MS = 20_000
/** Where inside/setup.sh looks for it. */
const AT_BOOT = '/etc/testbed/at-boot'
const CRASH = /^testbed: |Kernel panic - not syncing|BUG: unable to handle|Oops: |general protection fault/

export interface Program {
  /** Its process group: `kill -TERM -PID` reaches all of it. */
  readonly pid: number
  readonly log: Log
}

export class Host {
  readonly #folder: string
  readonly #machine: Machine
  #channel: Channel | undefined
  readonly #logs: HostLogs
  /** Of guests whose ticks a script at boot tells. */
  readonly consoleTicks = new ConsoleTicks()
  readonly #running = new Map<string, number>()
  readonly #qemuStarts = new Map<string, QemuStart>()
  #hello: Hello | undefined
  #crash: string | undefined
  /** From the first line of the crash on. */
  #lastWords = ''
  /** Between a jump, or the start of the machine, and the agent's hello. */
  #isBooting = true
  #onHello: ((hello: Hello) => void) | undefined
  #failed = Promise.withResolvers<never>()
  readonly #clock = new BootClock(performance.now())

  /** Starts the machine; `boot` must come next. */
  constructor(options: Omit<MachineOptions, 'onConsole'>) {
    this.#folder = options.folder
    this.#logs = new HostLogs(options.folder, this.#failed.promise)
    this.#machine = new Machine({ ...options, onConsole: (line) => this.#readConsole(line) })
    this.#machine.ended.then((words) => this.#fail(this.#crash ?? `the host is gone: ${words}`))
    this.#failed.promise.catch(() => {}) // later waits race with it as well
  }

  /** Waits for the agent of the first kernel. */
  async boot(): Promise<void> {
    const hello = this.#untilHello()
    hello.catch(() => {}) // the loop below throws in its place
    const deadline = performance.now() + BOOT_TIMEOUT_MS
    while (this.#channel === undefined) {
      // QEMU makes its sockets a moment after it starts.
      if (performance.now() > deadline) throw new HostError('QEMU made no socket')
      await this.#bounded(setTimeout(SOCKET_PAUSE_MS), BOOT_TIMEOUT_MS, 'QEMU made no socket')
      this.#channel = await Channel.open(this.#machine.agentSocket, (notice) => this.#note(notice)).catch(
        () => undefined,
      )
    }
    await hello
  }

  /**
   * The evidence for the verdict. Waits for the agent's last notices where it still runs, and writes the last
   * lines of guestmemfs processes and of guests' QEMUs, registers of guests, states of guests that are still
   * saved, QEMUs that were seen, and the registers and stacks of a host that was reset, to the folder of the
   * logs.
   */
  async evidence(): Promise<HostEvidence> {
    await this.run(`sleep ${LAST_NOTICES_S}`, { timeoutMs: 10_000 }).catch(() => {})
    // A host that panicked resets itself, and its machine ends once its registers have been read.
    if (this.#crash !== undefined)
      await Promise.race([this.#machine.ended, setTimeout(LAST_REGISTERS_MS, undefined, { ref: false })])
    const stoppedGuests = await this.json<StoppedGuest[]>(PRINT_STOPPED, { timeoutMs: 60_000 }).catch(
      () => [],
    )
    const qemuStarts = [...this.#qemuStarts.values()]
    const guests = JSON.stringify({ qemuStarts, stoppedGuests }, null, 2)
    writeFileSync(join(this.#folder, 'logs', 'qemus'), `${guests}\n`)
    for (const [name, script] of Object.entries(PRINTS)) {
      const said = await this.run(script, { timeoutMs: 30_000 }).catch(() => undefined)
      if (said !== undefined) writeFileSync(join(this.#folder, 'logs', name), `${said}\n`)
    }
    const { stop } = this.#machine
    const kvm = this.#hello?.kvm ?? []
    if (stop !== undefined) {
      writeFileSync(join(this.#folder, 'logs', 'registers'), `${stop.registers}\n${kvm.join('\n')}\n`)
      writeFileSync(join(this.#folder, 'logs', 'stacks'), `${stop.stacks}\n`)
    }
    return {
      crash: this.#crash === undefined ? undefined : this.#lastWords,
      stop: stop === undefined ? undefined : { ...stop, qemuLog: readTail(join(this.#folder, 'qemu.log')) },
      isBooting: this.#isBooting,
      kvmModules: kvm,
      qemuStarts,
      stoppedGuests,
    }
  }

  /** Every kernel so far; the last one runs now. */
  get boots(): readonly Boot[] {
    return this.#clock.boots
  }

  /**
   * Runs a bash script (`-euo pipefail`) to its end: its standard output, without the last line end. Throws
   * when it fails.
   */
  async run(script: string, options: { readonly timeoutMs?: number } = {}): Promise<string> {
    const { timeoutMs = RUN_TIMEOUT_MS } = options
    const asked = this.#ask({ type: 'run', script, timeoutMs })
    const answer = await this.#bounded(
      asked,
      timeoutMs + 10_000,
      `the agent did not answer to: ${script.trim()}`,
    )
    if (answer.type !== 'ran') throw new HostError('the agent answered something else than was asked')
    if (answer.code === 0) return answer.stdout.replace(/\n$/, '')
    const words = [answer.stderr.trim(), answer.stdout.trim()].filter((text) => text !== '').join('\n')
    throw new ScriptError(`failed inside (${answer.code}): ${script.trim()}\n${words}`)
  }

  /** The JSON that `script` prints. Throws as `run` does, and when it prints none. */
  async json<T = unknown>(script: string, options: { readonly timeoutMs?: number } = {}): Promise<T> {
    const text = await this.run(script, options)
    try {
      return JSON.parse(text) as T
    } catch {
      throw new ScriptError(`no JSON from: ${script.trim()}\n${text}`)
    }
  }

  /** The answer of QEMU's human monitor to a command, sent from outside, without the host's part. */
  monitor(command: string): Promise<string> {
    const asked = this.#machine.monitor(command, MONITOR_TIMEOUT_MS)
    return this.#bounded(asked, MONITOR_TIMEOUT_MS, `the monitor did not answer to: ${command}`)
  }

  /** Starts a program that goes on by itself. Its output is the log `name`, here and in the run's folder. */
  async start(name: string, script: string): Promise<Program> {
    const asked = this.#ask({ type: 'start', name, script })
    const answer = await this.#bounded(asked, RUN_TIMEOUT_MS, `the agent did not start ${name}`)
    if (answer.type !== 'started') throw new HostError(`${name} did not start: ${answer.stderr}`)
    const log = this.log(name)
    log.reopen()
    this.#running.set(name, answer.pid)
    return { pid: answer.pid, log }
  }

  /**
   * Every boot from the next one on runs `script` (bash); its output is the log `at-boot`. The agent starts
   * beside it, or, where it is to be `alone`, after its end, as on a host without an agent.
   */
  async atBoot(script: string, { alone = false } = {}): Promise<void> {
    const setting = 'set -euo pipefail\nexport PATH=$PATH:/opt/testbed/bin'
    const hook = Buffer.from(`#!/bin/bash\n${setting}\n${script}\n`).toString('base64')
    const beside = alone ? `touch ${AT_BOOT}.alone` : `rm -f ${AT_BOOT}.alone`
    await this.run(
      `mkdir -p /etc/testbed; base64 -d <<<${hook} >${AT_BOOT}; chmod 755 ${AT_BOOT}; ${beside}; sync`,
    )
  }

  /** All that was ever written to the log `name`, by programs of every kernel so far. */
  log(name: string): Log {
    return this.#logs.get(name)
  }

  /**
   * Runs `script`, which ends in a kexec, and waits for the agent of the next kernel. Throws when the script
   * fails or ends. `timeoutMs`: for all of it.
   */
  async jump(script: string, { timeoutMs = BOOT_TIMEOUT_MS } = {}): Promise<void> {
    const before = this.#hello
    const ended = this.run(script, { timeoutMs }).then(() => {
      throw new HostError(`no kexec happened: ${script.trim()}`)
    })
    const arrived = this.#untilHello(timeoutMs)
    const hello = await Promise.race([arrived, ended])
    ended.catch(() => {}) // the request cannot be answered: its kernel has ended
    this.#channel?.failAll(new HostError('the kernel that was asked is gone'))
    if (hello.bootId === before?.bootId) throw new HostError('the agent started again, on the same kernel')
  }

  /**
   * Runs `script`, which starts the whole of user space again on the same kernel, and waits for its agent.
   * Throws when the script fails, or another kernel is there.
   */
  async startUserSpaceAgain(script: string): Promise<void> {
    const before = this.#hello
    const arrived = this.#untilHello()
    const failed = this.run(script, { timeoutMs: BOOT_TIMEOUT_MS }).then(() => arrived)
    const hello = await Promise.race([arrived, failed])
    failed.catch(() => {}) // the agent that was asked has ended
    this.#channel?.failAll(new HostError('the agent that was asked is gone'))
    if (hello.bootId !== before?.bootId) throw new HostError('another kernel is there')
  }

  async end(): Promise<void> {
    this.#fail('the scenario is over')
    await this.#machine.end()
    this.#channel?.close()
    this.#logs.end()
  }

  #ask(order: Order): ReturnType<Channel['ask']> {
    if (this.#channel === undefined) throw new HostError('the host is not up')
    return this.#channel.ask(order)
  }

  #untilHello(timeoutMs = BOOT_TIMEOUT_MS): Promise<Hello> {
    const hello = new Promise<Hello>((resolve) => {
      this.#onHello = resolve
    })
    return this.#bounded(hello, timeoutMs, 'the host did not come up')
  }

  #note(notice: Notice): void {
    switch (notice.type) {
      case 'hello':
        if (this.#hello?.bootId !== notice.bootId) {
          this.#logs.beginKernel()
          this.#clock.complete(notice.release, performance.now())
        }
        this.#hello = notice
        this.#isBooting = false
        if (this.#onHello === undefined) this.#fail('the agent started again, unasked')
        this.#onHello?.(notice)
        this.#onHello = undefined
        return
      case 'log':
        this.#logs.append(notice)
        return
      case 'qemu':
        this.#noteQemu(notice)
        return
      case 'ended':
        // A program of the same name may run already.
        if (this.#running.get(notice.name) === notice.pid)
          this.log(notice.name).close(notice.signal ?? notice.code ?? 0)
    }
  }

  /** A repeated notice may have more logs; the first one has the most exact start. */
  #noteQemu({ type: _, ageMs, ...qemu }: Extract<Notice, { type: 'qemu' }>): void {
    const atMs = this.#qemuStarts.get(qemu.key)?.atMs ?? performance.now() - ageMs
    this.#qemuStarts.set(qemu.key, { ...qemu, atMs })
  }

  #readConsole(line: string): void {
    const jumps = this.#clock.readConsole(line, performance.now())
    this.consoleTicks.read(line, performance.now())
    if (jumps) {
      this.#machine.switchConsole(String(this.boots.length + 1))
      this.#isBooting = true
    }
    if (this.#crash !== undefined && this.#lastWords.length < MAX_LAST_WORDS) this.#lastWords += `${line}\n`
    if (this.#crash !== undefined || !CRASH.test(line)) return
    this.#lastWords = `${line}\n`
    this.#crash = `the host failed: ${line.trim()}`
    // The next lines have the reason, and must be in the console's log.
    setTimeout(LAST_WORDS_MS, undefined, { ref: false }).then(() => this.#fail(this.#crash as string))
  }

  #fail(words: string): void {
    this.#failed.reject(new HostError(words))
  }

  #bounded<T>(promise: Promise<T>, timeoutMs: number, words: string): Promise<T> {
    return within(Promise.race([promise, this.#failed.promise]), timeoutMs, () => words)
  }
}
