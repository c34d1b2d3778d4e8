/** Tests of the agent's port from outside, over a real socket. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Message } from '../inside/protocol.ts'
import { Channel } from './channel.ts'

/** A real socket with a scripted agent: `answer` gets each line it is asked. */
async function openPair(t: TestContext, answer: (line: string, agent: Socket) => void) {
  const folder = mkdtempSync(join(tmpdir(), 'testbed-channel-'))
  const path = join(folder, 'socket')
  const connected = Promise.withResolvers<Socket>()
  const server = createServer((socket) => {
    connected.resolve(socket)
    socket.setEncoding('utf8').on('data', (text) => {
      for (const line of String(text).trim().split('\n')) answer(line, socket)
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  const notices: Message[] = []
  const channel = await Channel.open(path, (notice) => notices.push(notice))
  const agent = await connected.promise
  t.after(() => {
    channel.close()
    agent.destroy()
    server.close()
    rmSync(folder, { recursive: true })
  })
  return { channel, agent, notices }
}

const ran = (id: number, stdout: string): string =>
  `${JSON.stringify({ type: 'ran', id, code: 0, stdout, stderr: '' })}\n`

test('answers find their request in any order', async (t) => {
  const ids: number[] = []
  const { channel } = await openPair(t, (line, agent) => {
    ids.push((JSON.parse(line) as { id: number }).id)
    if (ids.length === 2)
      agent.write(
        ids
          .toReversed()
          .map((id) => ran(id, `answer ${id}`))
          .join(''),
      )
  })
  const ask = () => channel.ask({ type: 'run', script: 'true', timeoutMs: 1 })
  const answers = await Promise.all([ask(), ask()])
  assert.deepEqual(
    answers.map((answer) => answer.type === 'ran' && answer.stdout),
    ['answer 1', 'answer 2'],
  )
})

test('a line that a kexec cut off is dropped, and the next ones are read', async (t) => {
  const { agent, notices, channel } = await openPair(t, (line, agent) => {
    agent.write(ran((JSON.parse(line) as { id: number }).id, ''))
  })
  agent.write('{"type":"log","name":"gue\n{"type":"hello","bootId":"b","release":"r","uptimeMs":1}\n')
  await channel.ask({ type: 'run', script: 'true', timeoutMs: 1 })
  assert.deepEqual(notices, [{ type: 'hello', bootId: 'b', release: 'r', uptimeMs: 1 }])
})

test('requests of an agent that is gone are failed, those of the next one are not', async (t) => {
  let silent = true
  const { channel } = await openPair(t, (line, agent) => {
    if (!silent) agent.write(ran((JSON.parse(line) as { id: number }).id, 'here'))
  })
  const lost = channel.ask({ type: 'run', script: 'kexec -e', timeoutMs: 1 })
  channel.failAll(new Error('the kernel is gone'))
  await assert.rejects(lost, /the kernel is gone/)
  silent = false
  const answer = await channel.ask({ type: 'run', script: 'true', timeoutMs: 1 })
  assert.equal(answer.type === 'ran' && answer.stdout, 'here')
})
