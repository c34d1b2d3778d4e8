import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { connect, createServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { close } from './descriptors.ts'
import { listenConnected, listenUnix } from './unix-listener.ts'

function socketPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'listen-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return join(folder, 'socket')
}

test('the connection that is made with the socket is accepted before any by its path', async (t) => {
  const path = socketPath(t)
  const { listener, first } = listenConnected(path)
  const other = connect(path)
  await new Promise((resolve) => other.once('connect', resolve))
  other.write('other')
  const met = new Socket({ fd: first, readable: true, writable: true })
  met.write('first')
  const heard = Promise.withResolvers<void>()
  const accepted: Promise<string>[] = []
  const server = createServer((socket) => {
    accepted.push(new Promise((resolve) => socket.once('data', (chunk) => resolve(String(chunk)))))
    if (accepted.length === 2) heard.resolve()
  })
  t.after(() => {
    for (const socket of [met, other]) socket.destroy()
    server.close()
  })
  server.listen({ fd: listener })
  await heard.promise
  assert.deepEqual(await Promise.all(accepted), ['first', 'other'])
})

test('only its owner may connect, in place of whatever had the name; a path that is too long is refused', (t) => {
  const path = socketPath(t)
  for (let time = 0; time < 2; time++) {
    const listener = listenUnix(path)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    close(listener)
  }
  assert.equal(existsSync(`${path}.bound`), false)
  assert.throws(() => listenUnix(`${path}${'x'.repeat(100)}`), /ENAMETOOLONG/)
})
