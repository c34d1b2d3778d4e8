/**
 * A QEMU of an attacker's, who owns the guest: it answers QMP on the inherited socket, has no guest, and at
 * one moment of an update replaces the directory of its RAM file by a symlink to a folder of root's.
 * `swapping-qemu.ts MOMENT DIRECTORY OUTSIDE QEMU-WORDS…`.
 */
import { renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** The descriptor of the QMP socket that `guestmemfs run` passes. */
const MONITOR_FD = 3
const [moment, directory = '', outside = '', ...line] = process.argv.slice(2)
/** As `startSwapping` gives it. */
const ramPath = /mem-path=([^,]*)/.exec(line.join(' '))?.[1] ?? ''
const ramBytes = Number(/size=(\d+)M/.exec(line.join(' '))?.[1] ?? 0) << 20
let status = 'running'
/** Whether the preflight has sent its commands. */
let isLookedAt = false

function swap(): void {
  renameSync(directory, `${directory}.former`)
  symlinkSync(outside, directory)
}

function event(socket: Socket, name: string, data: object = {}): void {
  const now = Date.now()
  const timestamp = { seconds: Math.floor(now / 1000), microseconds: (now % 1000) * 1000 }
  socket.write(`${JSON.stringify({ event: name, data, timestamp })}\n`)
}

interface Command {
  readonly execute: string
  readonly id?: unknown
  readonly arguments?: {
    readonly channels?: readonly { readonly addr: { readonly filename: string } }[]
    readonly property?: string
  }
}

function migrate(socket: Socket, path: string): void {
  if (moment === 'migrate') swap()
  try {
    writeFileSync(path, "the attacker's content")
  } catch {
    // It is root's file there, which this user cannot write: the attack is that root takes it for the guest's
    // state.
  }
  status = 'postmigrate'
  event(socket, 'STOP')
  event(socket, 'MIGRATION', { status: 'completed' })
}

function answer(socket: Socket, { execute, id, arguments: words }: Command): unknown {
  const values: Record<string, unknown> = {
    'query-status': { status, running: status === 'running' },
    'query-memdev': [{ id: 'ram', size: ramBytes, share: true }],
    'qom-list': [{ name: 'ram', type: 'child<memory-backend-file>' }],
    'qom-get': words?.property === 'discard-data' ? false : ramPath,
    'human-monitor-command': '',
    'query-kvm': { enabled: false, present: false },
    'query-sev': { enabled: false },
    'x-debug-query-block-graph': { nodes: [], edges: [] },
    'query-version': { qemu: { major: 10, minor: 0, micro: 0 }, package: '' },
  }
  if (execute === 'cont') status = 'running'
  for (const question of [
    'hotpluggable-cpus',
    'memory-devices',
    'named-block-nodes',
    'block',
    'blockstats',
    'block-exports',
    'jobs',
    'migrate-capabilities',
    'chardev',
    'iothreads',
    'cpus-fast',
    'pci',
    'vcpu-dirty-limit',
    'vnc-servers',
  ])
    values[`query-${question}`] = []
  if (execute === 'query-migrate') isLookedAt = true
  const refuse = (desc: string) =>
    socket.write(`${JSON.stringify({ error: { class: 'GenericError', desc }, id })}\n`)
  if (moment === 'after-save' && status === 'postmigrate' && execute === 'query-block')
    return refuse('not today')
  const { property = '' } = words ?? {}
  if (execute === 'qom-get' && !['discard-data', 'mem-path'].includes(property))
    return refuse(`Property 'memory-backend-file.${property}' not found`)
  socket.write(`${JSON.stringify({ return: values[execute] ?? {}, id })}\n`)
  if (execute === 'migrate') migrate(socket, words?.channels?.[0]?.addr.filename ?? '')
  if (execute === 'quit') process.exit(0)
}

createServer((socket) => {
  // The connection after the preflight's is the one that saves the guest.
  if (isLookedAt && moment === 'greeting') swap()
  const version = { qemu: { major: 10, minor: 0, micro: 0 }, package: '' }
  socket.write(`${JSON.stringify({ QMP: { version, capabilities: [] } })}\n`)
  socket.on('error', () => {})
  createInterface({ input: socket }).on('line', (line) => answer(socket, JSON.parse(line) as Command))
}).listen({ fd: MONITOR_FD }, () => process.stdout.write('serving\n'))
