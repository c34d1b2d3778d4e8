/**
 * Prints, as JSON, the guests inside the host that have stopped: for each QEMU what its monitor reports of
 * the guest, and whether the code of a tiny guest is in its RAM as it was built, or its firmware's alone.
 *
 * It reads RAM through the process (`/proc/PID/mem`), so it sees what the guest's processor saw, whatever
 * kind of memory that is.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { runStatus } from '../../../src/qemu/migration.ts'
import { QmpClient } from '../../../src/qemu/qmp-client.ts'
import { qmpSocket, readRuntime, vmNames } from '../../../src/run/vm-runtime.ts'
import { codeOf, LOAD_ADDRESS } from '../../guests/tiny-guest.ts'
import type { StoppedGuest } from '../../machine/evidence.ts'

/** In a host that is emulated, and on a machine that has other work. */
const TIMEOUT_MS = 15_000
const PAUSE_MS = 20

const found = await Promise.all(qemus().map(lookAt))
process.stdout.write(JSON.stringify(found.filter((guest) => guest !== undefined)))

function qemus(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => textOf(`/proc/${pid}/comm`).startsWith('qemu-system'))
    .map(Number)
}

async function lookAt(pid: number): Promise<StoppedGuest | undefined> {
  const words = textOf(`/proc/${pid}/cmdline`).split('\0')
  const state = await stateOf(pid, words).catch(() => undefined)
  if (state === undefined || state === 'running') return undefined
  const kernel = words[words.indexOf('-kernel') + 1] ?? ''
  return { pid, state, hasItsCode: hasItsCode(pid, kernel), isInFirmware: isInFirmware(pid, kernel) }
}

/** QMP's word for the run state. */
async function stateOf(pid: number, words: readonly string[]): Promise<string | undefined> {
  const name = vmNames().find((vm) => readRuntime(vm)?.qemu?.pid === pid)
  if (name !== undefined) {
    const qmp = await QmpClient.connect(qmpSocket(name), TIMEOUT_MS)
    const { status } = await runStatus(qmp)
    qmp.close()
    return status
  }
  const socket = /^unix:([^,]+)/.exec(words[words.indexOf('-monitor') + 1] ?? '')?.[1]
  return socket === undefined ? undefined : await askHuman(socket)
}

/** `VM status: running`, or `VM status: paused (internal-error)`. */
async function askHuman(path: string): Promise<string | undefined> {
  const socket = connect(path)
  let text = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    text += chunk
  })
  socket.on('error', () => {}) // nothing is answered then
  socket.write('info status\n')
  try {
    for (const end = Date.now() + TIMEOUT_MS; Date.now() < end; await setTimeout(PAUSE_MS)) {
      const [, status, reason] = /VM status: (\w+)(?: \(([\w-]+)\))?/.exec(text) ?? []
      if (status !== undefined) return reason ?? status
    }
    return undefined
  } finally {
    socket.destroy()
  }
}

function hasItsCode(pid: number, kernel: string): boolean {
  try {
    const code = codeOf(readFileSync(kernel))
    return code.equals(readRam(pid, LOAD_ADDRESS, code.length))
  } catch {
    return false
  }
}

const SEABIOS = '/usr/share/seabios/bios-256k.bin'
const PAGE_BYTES = 4096
/** Where SeaBIOS copies the end of its ROM to, and executes it: the F segment, with some variables. */
const SEGMENT = { address: 0xf0000, bytes: 0x10000 }

/** Nothing is where its code belongs, and no page of the F segment is another's or has lost its bytes. */
function isInFirmware(pid: number, kernel: string): boolean {
  try {
    const code = readRam(pid, LOAD_ADDRESS, codeOf(readFileSync(kernel)).length)
    if (code.some((byte) => byte !== 0)) return false
    const rom = readFileSync(SEABIOS).subarray(-SEGMENT.bytes)
    const copy = readRam(pid, SEGMENT.address, SEGMENT.bytes)
    // Not copied yet: it executes the ROM itself, which is no guest RAM.
    if (copy.every((byte) => byte === 0)) return true
    for (let at = 0; at < SEGMENT.bytes; at += PAGE_BYTES) {
      let equal = 0
      for (let byte = at; byte < at + PAGE_BYTES; byte++) if (copy[byte] === rom[byte]) equal++
      if (equal < PAGE_BYTES / 2) return false
    }
    return true
  } catch {
    return false
  }
}

/** RAM in a pool is its QEMU's largest shared mapping. */
function readRam(pid: number, address: number, length: number): Buffer {
  const ranges = textOf(`/proc/${pid}/maps`)
    .split('\n')
    .flatMap((line) => {
      const [, start, end] = /^([0-9a-f]+)-([0-9a-f]+) rw.s/.exec(line) ?? []
      return start === undefined ? [] : [{ start: Number(`0x${start}`), end: Number(`0x${end}`) }]
    })
    .sort((a, b) => b.end - b.start - (a.end - a.start))
  const bytes = Buffer.alloc(length)
  const fd = openSync(`/proc/${pid}/mem`, 'r')
  try {
    const read = readSync(fd, bytes, 0, length, (ranges[0]?.start ?? 0) + address)
    return bytes.subarray(0, read)
  } finally {
    closeSync(fd)
  }
}

/** Empty where the process has ended. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
