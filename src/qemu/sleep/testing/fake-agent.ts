/**
 * An agent and the monitor of its QEMU, as real sockets of this process, which do what a test has them do.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

export interface AgentCommand {
  readonly execute: string
  readonly arguments?: { readonly id?: number }
}

/** What an agent sends for a command; undefined: nothing. */
export type AgentAnswer = (command: AgentCommand, socket: Socket) => string | Buffer | undefined

const line = (value: unknown): string => `${JSON.stringify(value)}\n`

/** As qemu-ga 10.0 answers. */
export const synchronised = ({ arguments: { id } = {} }: AgentCommand): Buffer =>
  Buffer.concat([Buffer.of(0xff), Buffer.from(line({ return: id }))])

export const refusing = (desc: string): string => line({ error: { class: 'GenericError', desc } })

/** Answers guest-sync-delimited and guest-info, and all else by `more`. */
export const sound =
  (more: AgentAnswer = () => undefined, isEnabled = true): AgentAnswer =>
  (command, socket) => {
    if (command.execute === 'guest-sync-delimited') return synchronised(command)
    if (command.execute !== 'guest-info') return more(command, socket)
    const commands = ['guest-ping', 'guest-suspend-ram'].map((name) => ({ name, enabled: isEnabled }))
    return line({ return: { version: '10.0.2', supported_commands: commands } })
  }

/** Returns the path of its socket. */
export async function serveAgent(t: TestContext, answer: AgentAnswer): Promise<string> {
  return await listen(t, (socket) => {
    // qemu-ga drops what it has read when it reads this byte.
    onLines(socket, (text) => {
      const words = answer(JSON.parse(text.replaceAll('\u{fffd}', '')) as AgentCommand, socket)
      if (words !== undefined) socket.write(words)
    })
  })
}

/** A QEMU that answers each command by `answer`. Returns the path of its monitor. */
export async function serveMonitor(
  t: TestContext,
  answer: (command: string) => unknown,
  [major, minor, micro]: readonly [number, number, number] = [10, 0, 2],
): Promise<string> {
  return await listen(t, (socket) => {
    socket.write(line({ QMP: { version: { qemu: { major, minor, micro } }, capabilities: [] } }))
    onLines(socket, (text) => {
      const { execute, id } = JSON.parse(text) as { execute: string; id: number }
      socket.write(line({ return: execute === 'qmp_capabilities' ? {} : answer(execute), id }))
    })
  })
}

function onLines(socket: Socket, take: (text: string) => void): void {
  let unread = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (unread + chunk).split('\n')
    unread = lines.pop() as string
    for (const text of lines) take(text)
  })
}

async function listen(t: TestContext, onConnection: (socket: Socket) => void): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'agent-'))
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    onConnection(socket)
  })
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
    rmSync(folder, { recursive: true })
  })
  const path = join(folder, 'socket')
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return path
}
