/** The server's end of the socket to its keeper, where the kernel has no memory for a message. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { test } from 'node:test'

const STRACE = '/usr/bin/strace'

test('an answer for which the keeper waits, and the kernel has no memory, is sent at the next flush', {
  skip: existsSync(STRACE) ? false : `needs ${STRACE}`,
}, () => {
  const file = (name: string) => JSON.stringify(new URL(name, import.meta.url).href)
  const program = `
    import { receiveMessageNow, sendMessage, socketPair } from ${file('../linux/sockets.ts')}
    import { KeeperLink } from ${file('./keeper-link.ts')}
    import { decodeMessage, encodeMessage, MAX_MESSAGE_BYTES } from ${file('./messages.ts')}
    const [keeper, server] = socketPair()
    const link = new KeeperLink(server)
    const said = () => {
      const received = receiveMessageNow(keeper, MAX_MESSAGE_BYTES)
      return received && received !== 'ended' ? decodeMessage(received.bytes).kind : 'nothing'
    }
    sendMessage(keeper, encodeMessage({ kind: 'close-sessions' }))
    link.received()
    const before = [link.isPending, said()]
    link.flush()
    console.log(JSON.stringify([before, [link.isPending, said()]]))
  `
  // The second message of the process is the link's answer.
  const inject = [
    '-qq',
    '-f',
    '-o',
    '/dev/null',
    '-e',
    'trace=sendmsg',
    '-e',
    'inject=sendmsg:error=ENOMEM:when=2',
  ]
  const words = [...inject, process.execPath, '--input-type=module', '-e', program]
  const said = JSON.parse(execFileSync(STRACE, words, { encoding: 'utf8', timeout: 60_000 }))
  assert.deepEqual(said, [
    [true, 'nothing'],
    [false, 'sessions-closed'],
  ])
})
