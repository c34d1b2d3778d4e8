#!/usr/bin/env node
/**
 * Owns the inside end of a scenario: runs scripts, starts programs that go on, and sends every log as it grows. It
 * decides nothing and remembers nothing: after a kexec it simply starts again. Runs as plain JavaScript, alone in
 * its file, so that a host under emulation has it up in a second.
 */
import { execFile, spawn } from 'node:child_process'
import {
  closeSync,
  createReadStream,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  watch,
  writeSync,
} from 'node:fs'
import { createInterface } from 'node:readline'
import type { Message, Request } from './protocol.ts'

const LOGS = '/run/testbed/logs'
const PORTS = '/sys/class/virtio-ports'
const MAX_OUTPUT_BYTES = 8 * 1024 * 1024
/** Slower than the notices of `watch`, which carry the load; this only makes sure. */
const LOG_SWEEP_MS = 500

const port = openSync(`/dev/${findPort('org.guestmemfs.testbed')}`, 'r+')

function findPort(wanted: string): string {
  const found = readdirSync(PORTS).find(
    (port) => readFileSync(`${PORTS}/${port}/name`, 'utf8').trim() === wanted,
  )
  if (found === undefined) throw new Error(`no virtio port ${wanted}`)
  return found
}

function send(message: Message): void {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`)
  for (let sent = 0; sent < bytes.length; ) sent += writeSync(port, bytes, sent)
}

function run(id: number, script: string, timeoutMs: number): void {
  const limits = { timeout: timeoutMs, maxBuffer: MAX_OUTPUT_BYTES, killSignal: 'SIGKILL' as const }
  const child = execFile('/bin/bash', ['-euo', 'pipefail', '-c', script], limits, (error, stdout, stderr) => {
    sweepLogs() // what the script caused to be written is sent before its result
    const why = child.signalCode === null ? '' : `\nended by ${child.signalCode}: ${error?.message ?? ''}`
    send({ type: 'ran', id, code: child.exitCode, stdout, stderr: stderr + why })
  })
  child.stdin?.end()
}

function start(id: number, name: string, script: string): void {
  const output = openSync(`${LOGS}/${name}`, 'a')
  const complaints = openSync(`${LOGS}/${name}.err`, 'a')
  const child = spawn('/bin/bash', ['-euo', 'pipefail', '-c', script], {
    stdio: ['ignore', output, complaints],
    detached: true, // its own group: a scenario ends a whole tree by one signal
  })
  closeSync(output)
  closeSync(complaints)
  child.on('spawn', () => send({ type: 'started', id, pid: child.pid as number }))
  child.on('error', (error) => send({ type: 'ran', id, code: 127, stdout: '', stderr: error.message }))
  child.on('exit', (code, signal) => {
    sweepLogs()
    send({ type: 'ended', name, pid: child.pid as number, code, signal })
  })
}

const followed = new Map<string, { readonly fd: number; offset: number }>()
const chunk = Buffer.alloc(64 * 1024)

function sweepLogs(): void {
  for (const name of readdirSync(LOGS)) {
    let log = followed.get(name)
    if (log === undefined) {
      log = { fd: openSync(`${LOGS}/${name}`, 'r'), offset: 0 }
      followed.set(name, log)
    }
    const { size } = fstatSync(log.fd)
    while (log.offset < size) {
      const length = readSync(log.fd, chunk, 0, chunk.length, log.offset)
      if (length === 0) break
      log.offset += length
      send({ type: 'log', name, text: chunk.toString('latin1', 0, length) })
    }
  }
}

/** QEMUs that were told of, or are not to be: by pid, when each was first seen; NaN once it was told of. */
const qemus = new Map<number, number>()
/** After this long a QEMU that writes no log will not begin to. */
const QEMU_PATIENCE_MS = 10_000

/** The evidence on a guest that starts again is whether somebody started its QEMU again: every one is told of, with its age. */
function watchQemus(): void {
  const nowMs = performance.now()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!(pid > 0) || Number.isNaN(qemus.get(pid) ?? 0)) continue
    try {
      if (!readFileSync(`/proc/${pid}/comm`, 'latin1').startsWith('qemu-system')) continue
      const firstMs = qemus.get(pid) ?? nowMs
      qemus.set(pid, firstMs)
      const logs = openLogs(pid)
      if (logs.length === 0 && nowMs - firstMs < QEMU_PATIENCE_MS) continue
      send({ type: 'qemu', pid, ageMs: ageOf(pid), logs })
      qemus.set(pid, Number.NaN)
    } catch {
      // It ended while we looked. One that was never told of still counts, as one that may have been anybody's.
      if (qemus.has(pid)) send({ type: 'qemu', pid, ageMs: nowMs - (qemus.get(pid) as number), logs: [] })
      qemus.delete(pid)
    }
  }
  for (const pid of qemus.keys()) if (!existsSync(`/proc/${pid}`)) qemus.delete(pid)
}

const openLogs = (pid: number): string[] => [
  ...new Set(
    readdirSync(`/proc/${pid}/fd`)
      .map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
      .filter((path) => path.startsWith(`${LOGS}/`) && !path.endsWith('.err'))
      .map((path) => path.slice(LOGS.length + 1)),
  ),
]

/** Field 22 of /proc/PID/stat is when it was started, in hundredths of a second since the boot (proc_pid_stat(5)). */
function ageOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const startedMs = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) * 10
  return Number.parseFloat(readFileSync('/proc/uptime', 'latin1')) * 1000 - startedMs
}

const kvm = readFileSync('/proc/modules', 'latin1')
  .split('\n')
  .filter((line) => line.startsWith('kvm'))
const [bootId, release, uptime] = [
  '/proc/sys/kernel/random/boot_id',
  '/proc/sys/kernel/osrelease',
  '/proc/uptime',
].map((file) => readFileSync(file, 'utf8').trim()) as [string, string, string]
writeSync(port, '\n') // ends whatever line the agent of the last kernel was cut off in
send({ type: 'hello', bootId, release, uptimeMs: Math.round(Number.parseFloat(uptime) * 1000), kvm })
watch(LOGS, sweepLogs)
setInterval(() => {
  sweepLogs()
  watchQemus()
}, LOG_SWEEP_MS)
sweepLogs()

const requests = createInterface({ input: createReadStream('', { fd: port, autoClose: false }) })
requests.on('line', (line) => {
  const request = JSON.parse(line) as Request
  if (request.type === 'run') run(request.id, request.script, request.timeoutMs)
  else start(request.id, request.name, request.script)
})
requests.on('close', () => process.exit(0)) // the other side went away; init starts us again
