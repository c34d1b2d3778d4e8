#!/usr/bin/env node
/**
 * The inside end of a scenario: runs scripts, starts programs that go on, and sends every log as it grows. It
 * has no state: after a kexec init starts a new one. Runs as plain JavaScript, in a single file, so that it
 * starts in a second under emulation.
 */
import { execFile, spawn } from 'node:child_process'
import {
  closeSync,
  createReadStream,
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
/** A second, slower way beside the events of `watch`, which may miss a change. */
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
    sweepLogs() // logs that the script wrote to are sent before its result
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
      send({ type: 'log', name, offset: log.offset, text: chunk.toString('latin1', 0, length) })
      log.offset += length
    }
  }
}

/** The logs of each reported QEMU, as reported. */
const qemus = new Map<string, string>()

/**
 * Reports every QEMU with its age: where a guest starts again, they show whether its QEMU was started again.
 */
function watchQemus(): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    try {
      if (readFileSync(`/proc/${pid}/comm`, 'latin1').startsWith('qemu-system')) tellQemu(pid)
    } catch {
      // It ended meanwhile: the former report is kept.
    }
}

function tellQemu(pid: string): void {
  const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  const named = [...words.matchAll(/path=\/run\/testbed\/logs\/([\w.-]+)/g)].map(([, name]) => name as string)
  const logs = [...new Set([...named, ...openLogs(pid)])].sort()
  const startedMs = startedAt(pid)
  const key = `${bootId} ${pid} ${startedMs}`
  if (qemus.get(key) === logs.join()) return
  qemus.set(key, logs.join())
  const ageMs = Number.parseFloat(readFileSync('/proc/uptime', 'latin1')) * 1000 - startedMs
  const files = [...words.matchAll(/mem-path=([^,\0]+)/g)].map(([, path]) => path as string)
  const hasOwnRam = files.every((path) => path.startsWith('/dev/shm/'))
  const isIncoming = words.split('\0').includes('-incoming')
  send({ type: 'qemu', key, pid: Number(pid), ageMs, logs, hasOwnRam, isIncoming })
}

/** Descriptors that are closed meanwhile are left out. */
const openLogs = (pid: string): string[] =>
  readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/${pid}/fd/${fd}`)
      return path.startsWith(`${LOGS}/`) && !path.endsWith('.err') ? [path.slice(LOGS.length + 1)] : []
    } catch {
      return []
    }
  })

/** Milliseconds since the boot: field 22 of /proc/PID/stat, in hundredths of a second (proc_pid_stat(5)). */
function startedAt(pid: string): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]) * 10
}

const kvm = readFileSync('/proc/modules', 'latin1')
  .split('\n')
  .filter((line) => line.startsWith('kvm'))
const [bootId, release, uptime] = [
  '/proc/sys/kernel/random/boot_id',
  '/proc/sys/kernel/osrelease',
  '/proc/uptime',
].map((file) => readFileSync(file, 'utf8').trim()) as [string, string, string]
writeSync(port, '\n') // ends a line that the last kernel's agent may not have finished
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
requests.on('close', () => process.exit(0)) // QEMU's side was closed; init starts the agent again
