/**
 * Tests of when keeper and server come forward: a process in the keeper's place, which another one has put
 * behind all others, and one in the server's.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { getPriority } from 'node:os'
import type { Duplex, Readable, Writable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { setNice } from '../linux/process.ts'
import { putLast } from '../linux/process-nice.ts'
import { CONTACT_FD } from './contact.ts'
import { SERVER_NICE } from './server-nice.ts'

const skip = process.getuid?.() === 0 ? false : 'needs root'
const NICE = 2
const LOOKS = 500
const LOOK_MS = 20

/** It starts a server when it is told so, and comes forward at the next word. */
const KEEPER = `
  import { spawn } from 'node:child_process'
  import { comeForward, putServerFirst, stayBehind } from ${JSON.stringify(
    new URL('./server-nice.ts', import.meta.url).href,
  )}
  let server
  process.stdin.on('data', () => {
    if (server !== undefined) return comeForward()
    stayBehind(${NICE})
    server = spawn('sleep', ['60'], { stdio: 'ignore' })
    process.once('SIGTERM', () => { server.kill('SIGKILL'); process.exit() })
    putServerFirst(server.pid)
    console.log(server.pid)
  })
  console.log('up')
`

interface Pair {
  readonly keeper: number
  readonly server: number
  readonly contact: Duplex
  readonly tell: () => void
}

/** undefined: this process may not put others back. */
async function startPair(t: TestContext): Promise<Pair | undefined> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', KEEPER], {
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit', 'pipe'],
  })
  const [input, output] = [child.stdin as Writable, child.stdout as Readable]
  const keeper = child.pid ?? 0
  t.after(() => child.kill('SIGTERM'))
  await once(output, 'data')
  setNice(keeper, NICE)
  const nice = putLast(keeper)
  if (nice === undefined) return undefined
  const tell = (): void => void input.write('go\n')
  tell()
  const [pid] = (await once(output, 'data')) as [Buffer]
  const contact = child.stdio[CONTACT_FD] as unknown as Duplex
  contact.on('error', () => {}) // the process ends with a line unread
  return { keeper, server: Number(pid), contact, tell }
}

async function untilForward({ keeper, server }: Pair): Promise<void> {
  for (let look = 0; look < LOOKS && getPriority(server) !== SERVER_NICE; look++) await sleep(LOOK_MS)
  assert.deepEqual([getPriority(keeper), getPriority(server)], [NICE, SERVER_NICE])
}

const ends: Readonly<Record<string, (pair: Pair) => void>> = {
  'the process that started the keeper says so': ({ contact }) => void contact.write('\n'),
  'that process is gone': ({ contact }) => void contact.destroy(),
  'the server has read the image': ({ tell }) => tell(),
}
for (const [when, end] of Object.entries(ends))
  test(`keeper and server are behind all others until ${when}`, { skip }, async (t) => {
    const pair = await startPair(t)
    if (pair === undefined) return t.skip('this process has no CAP_SYS_NICE')
    await sleep(10 * LOOK_MS)
    assert.deepEqual([getPriority(pair.keeper), getPriority(pair.server)], [19, 19])
    end(pair)
    await untilForward(pair)
  })
