import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type Duplex, duplexPair } from 'node:stream'
import { test } from 'node:test'
import { standIn } from './stand-in.ts'

/** Version 1 of the protocol. */
function request(number: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(12)
  for (const [index, word] of [number, 1, payload.length].entries()) header.writeUInt32LE(word, 4 * index)
  return Buffer.concat([header, payload])
}
const [GET_FEATURES, SET_OWNER, SET_VRING_CALL, GET_PROTOCOL_FEATURES] = [1, 3, 13, 15]

function pair(): [near: Duplex, far: Duplex] {
  const [near, far] = duplexPair()
  standIn(far)
  return [near, far]
}

test('feature requests are answered, however the bytes are cut; no other request is', async () => {
  const [near] = pair()
  const replies: Buffer[] = []
  near.on('data', (bytes: Buffer) => replies.push(bytes))
  const all = Buffer.concat([
    request(GET_FEATURES),
    request(SET_OWNER),
    request(SET_VRING_CALL, Buffer.alloc(8)),
    request(GET_PROTOCOL_FEATURES),
  ])
  for (const byte of all) near.write(Buffer.of(byte))
  near.end()
  await once(near, 'finish')
  assert.deepEqual(Buffer.concat(replies).toString('hex').match(/.{40}/g), [
    '0100000005000000080000000000004001000000',
    '0f00000005000000080000000080000000000000',
  ])
})

test('a request of an invalid size ends the connection', async () => {
  const [near, far] = pair()
  const closed = once(far, 'close')
  const header = request(GET_FEATURES)
  header.writeUInt32LE(0xffff_ffff, 8)
  near.write(header)
  await closed
})
