import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { QemuError, QemuRefusal } from '../../values/errors.ts'
import { AgentClient } from './agent-client.ts'
import { type AgentAnswer, refusing, serveAgent, sound, synchronised } from './testing/fake-agent.ts'

const SOON_MS = 2000
const AT_ONCE_MS = 50

async function connected(t: TestContext, answer: AgentAnswer, timeoutMs = SOON_MS): Promise<AgentClient> {
  const agent = await AgentClient.connect(await serveAgent(t, answer), process.pid, timeoutMs)
  t.after(() => agent.close())
  return agent
}

test('an agent answers, and refuses in its own words, without what a terminal would obey', async (t) => {
  const words = `no\u001b[2J\n${'x'.repeat(1000)}`
  const agent = await connected(
    t,
    sound(({ execute }) => (execute === 'guest-ping' ? '{"return": {}}\n' : refusing(words))),
  )
  assert.deepEqual(await agent.execute('guest-ping', SOON_MS), {})
  const shown = /^guest-exec: no\?\[2J\?x{190,200}$/
  await assert.rejects(agent.execute('guest-exec', SOON_MS), (error: Error) => {
    assert.ok(error instanceof QemuRefusal)
    assert.match(error.message, shown)
    return true
  })
  assert.match(await agent.refusalOf('guest-suspend-ram'), /^no\?\[2J/)
})

test('what was left for a former client, or is half a message, is not taken for an answer', async (t) => {
  const agent = await connected(t, (command) =>
    command.execute === 'guest-sync-delimited'
      ? Buffer.concat([
          Buffer.from('{"return": 7}\n{"error": {"desc": "JSON parse error"}}\nlogin: \n{"return": {"half'),
          synchronised(command),
        ])
      : '{"return": 1}\n',
  )
  assert.equal(await agent.execute('guest-ping', SOON_MS), 1)
})

test('an answer may come in pieces, at any byte', async (t) => {
  const agent = await connected(t, (command, socket) => {
    const whole =
      command.execute === 'guest-sync-delimited' ? synchronised(command) : Buffer.from('{"return": 1}\n')
    socket.setNoDelay(true)
    for (const byte of whole) socket.write(Buffer.of(byte))
    return undefined
  })
  assert.equal(await agent.execute('guest-ping', SOON_MS), 1)
})

test('an agent that is silent, answers with another number, or talks of something else is given up in time', async (t) => {
  for (const answer of [
    () => undefined,
    () => '\u{ff}{"return": 0}\n',
    () => 'login: \n',
    () => '[]\n"x"\n{}\nnull\n',
  ] satisfies AgentAnswer[])
    await assert.rejects(connected(t, answer, AT_ONCE_MS), /its agent does not answer within 50 ms/)
  const late = await connected(t, sound())
  await assert.rejects(late.execute('guest-info-2', AT_ONCE_MS), /its agent does not answer within 50 ms/)
})

test('an agent that floods is given up, whether its bytes are lines or none', {
  timeout: 10_000,
}, async (t) => {
  for (const piece of ['x'.repeat(8192), `${'y'.repeat(100)}\n`.repeat(80), '{"return": 1}\n'.repeat(600)]) {
    const flood: AgentAnswer = (_, socket) => {
      const more = (): void => {
        while (!socket.destroyed && socket.write(piece)) {}
      }
      socket.on('drain', more)
      more()
      return undefined
    }
    await assert.rejects(connected(t, flood), /its agent sends more than 262144 bytes/)
  }
})

test('a connection that ends is known at once', async (t) => {
  const ends: AgentAnswer = (_, socket) => void socket.destroy()
  await assert.rejects(connected(t, ends), /its QEMU closed the connection to its agent/)
  const agent = await connected(t, sound(ends))
  await assert.rejects(agent.execute('guest-ping', SOON_MS), QemuError)
})

test('only the socket of its own QEMU is spoken to', async (t) => {
  let asked = 0
  const path = await serveAgent(t, (command) => {
    asked++
    return synchronised(command)
  })
  await assert.rejects(AgentClient.connect(path, process.ppid, SOON_MS), /is not its QEMU's/)
  assert.equal(asked, 0)
  await assert.rejects(
    AgentClient.connect(`${path}-gone`, process.pid, SOON_MS),
    /its agent's socket .*: ENOENT/,
  )
})
