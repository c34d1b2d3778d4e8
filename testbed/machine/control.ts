/**
 * The QMP connection to the QEMU that runs the host: the human monitor's answers, and why the machine
 * stopped. The host does not notice its commands.
 */
import { setTimeout } from 'node:timers/promises'
import { QmpClient } from '../../src/qemu/qmp-client.ts'
import type { QmpEvent } from '../../src/qemu/qmp-messages.ts'

const SOCKET_PAUSE_MS = 50
const CONNECT_TIMEOUT_MS = 60_000
const GREETING_TIMEOUT_MS = 30_000
/** `info tlb` prints a line for each page of the host. */
const MAX_ANSWER_BYTES = 256 * 2 ** 20
const REGISTERS_TIMEOUT_MS = 10_000
/** THREAD_SIZE of x86-64, at which a stack begins (arch/x86/include/asm/page_64_types.h). */
const STACK_BYTES = 0x4000
/** The longest scenario ends long before; setTimeout takes no more. */
const FOR_EVER_MS = 2 ** 31 - 1

/**
 * The host requested a reset or a shutdown, and QEMU stopped it instead
 * (`-action reboot=shutdown,shutdown=pause`).
 */
export interface Stop {
  /**
   * QEMU's ShutdownCause (qapi/run-state.json): `guest-reset` by a triple fault or on request,
   * `guest-shutdown`, …
   */
  readonly reason: string
  /** `info registers -a` at that moment. */
  readonly registers: string
  /**
   * `x` of each processor's stack, from its end on: what overflowed it, where that is why the machine
   * stopped.
   */
  readonly stacks: string
}

/**
 * Connects as soon as QEMU has made `path`. Errors: QemuError where it does not within a minute, or
 * `hasEnded` before.
 */
export async function openControl(path: string, hasEnded: () => boolean): Promise<QmpClient> {
  const deadline = performance.now() + CONNECT_TIMEOUT_MS
  for (;;) {
    try {
      return await QmpClient.connect(path, GREETING_TIMEOUT_MS, MAX_ANSWER_BYTES)
    } catch (error) {
      if (performance.now() > deadline || hasEnded()) throw error
      await setTimeout(SOCKET_PAUSE_MS)
    }
  }
}

/** The answer of QEMU's human monitor to `command`, in whole lines. */
export async function humanMonitor(control: QmpClient, command: string, timeoutMs: number): Promise<string> {
  const said = await control.execute('human-monitor-command', { 'command-line': command }, timeoutMs)
  return String(said).replaceAll('\r\n', '\n').replace(/\n$/, '')
}

/** Resolves when the machine has stopped by itself; undefined when the connection ended without it. */
export async function whenStopped(control: QmpClient): Promise<Stop | undefined> {
  const isShutdown = ({ name }: QmpEvent): boolean => name === 'SHUTDOWN'
  try {
    const event = await control.event(isShutdown, FOR_EVER_MS, 'the machine goes on')
    const reason = String((event.data as { reason?: unknown } | undefined)?.reason ?? 'unknown')
    const registers = await humanMonitor(control, 'info registers -a', REGISTERS_TIMEOUT_MS).catch(() => '')
    return { reason, registers, stacks: await readStacks(control, registers).catch(() => '') }
  } catch {
    return undefined // QEMU ended, or this process ended it
  }
}

/** Where a processor has no stack in its tables, QEMU says so in place of the words. */
async function readStacks(control: QmpClient, registers: string): Promise<string> {
  const said: string[] = []
  for (const [, processor, digits] of registers.matchAll(/^CPU#(\d+)\n(?:.*\n)*?.*\bRSP=([0-9a-f]{16})/gm)) {
    const start = BigInt(`0x${digits}`) & ~BigInt(STACK_BYTES - 1)
    await humanMonitor(control, `cpu ${processor}`, REGISTERS_TIMEOUT_MS)
    const words = `x /${STACK_BYTES / 8}gx 0x${start.toString(16)}`
    said.push(`CPU#${processor}`, await humanMonitor(control, words, REGISTERS_TIMEOUT_MS))
  }
  return said.join('\n')
}
