/**
 * Tests that requests are decoded as the kernel header has them, and that no bytes at all make the decoder
 * throw.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decode } from './decode.ts'
import { isAnswered, OPCODES, type Opcode } from './opcodes.ts'
import { requestBytes, SAMPLES } from './testing/request-bytes.ts'

const HEADER = {
  unique: 0x102n,
  resent: false,
  nodeid: 0x5_0000_0007n,
  uid: 1000,
  gid: 1001,
  pid: 4242,
}

const decodeAll = (bytes: Buffer) => decode(bytes, bytes.length)

test('there is a sample of every opcode', () => {
  assert.deepEqual(SAMPLES.map(({ opcode }) => opcode).sort(), Object.keys(OPCODES).sort())
})

for (const { opcode, number, body, expected } of SAMPLES) {
  test(`${opcode} is decoded from its bytes`, () => {
    const bytes = requestBytes(number, body)
    const request = { ...decodeAll(bytes) } as Record<string, unknown>
    if ('data' in request) request.data = new Uint8Array(request.data as Uint8Array)
    assert.deepEqual(request, { opcode, header: HEADER, ...expected })
  })

  test(`${opcode} cut short anywhere is malformed, and says whom to answer once the header is whole`, () => {
    const whole = requestBytes(number, body)
    for (let length = 0; length < whole.length; length++) {
      const cut = Buffer.from(whole.subarray(0, length))
      if (length >= 4) cut.writeUInt32LE(length, 0)
      const request = decodeAll(cut)
      assert.equal(request.opcode, 'malformed', `at ${length}`)
      assert.ok(request.opcode === 'malformed')
      assert.equal(request.header?.unique, length < 40 ? undefined : 0x102n)
      assert.equal(request.answered, length >= 40 && isAnswered(opcode))
    }
  })
}

test('bytes behind a request, and extensions, are left alone', () => {
  const bytes = requestBytes(1, '6600 0000000000000000', { extensionBytes: 8 })
  assert.equal((decodeAll(bytes) as { name?: string }).name, 'f')
  const swallowed = requestBytes(1, '66000000000000000000', { extensionBytes: 800 })
  assert.equal(decodeAll(swallowed).opcode, 'malformed')
  const next = Buffer.concat([
    requestBytes(16, SAMPLES.find((s) => s.opcode === 'WRITE')?.body),
    Buffer.alloc(64, 1),
  ])
  const write = decode(next, next.length - 64)
  assert.ok(write.opcode === 'WRITE')
  assert.equal(Buffer.from(write.data).toString(), 'abc')
})

test('a name must be one: not empty, ended, no longer than a path, without a slash', () => {
  const lookup = (name: string | Buffer) => decodeAll(requestBytes(1, Buffer.from(name))).opcode
  assert.equal(lookup('x\0'), 'LOOKUP')
  // Too long for a name, which the file system says: the kernel passes it on.
  assert.equal(lookup(`${'x'.repeat(256)}\0`), 'LOOKUP')
  assert.equal(lookup(`${'x'.repeat(4095)}\0`), 'LOOKUP')
  assert.equal(lookup(`${'x'.repeat(4096)}\0`), 'malformed')
  assert.equal(lookup('\0'), 'malformed')
  assert.equal(lookup('a/b\0'), 'malformed')
  assert.equal(lookup('ab'), 'malformed')
  const symlink = (target: string) => decodeAll(requestBytes(6, Buffer.from(`x\0${target}\0`))).opcode
  assert.equal(symlink('/'.repeat(4095)), 'SYMLINK')
  assert.equal(symlink('/'.repeat(4096)), 'malformed')
  const removeXattr = (name: string) => decodeAll(requestBytes(24, Buffer.from(`${name}\0`))).opcode
  assert.equal(removeXattr('x'.repeat(255)), 'REMOVEXATTR')
  assert.equal(removeXattr('x'.repeat(256)), 'malformed')
})

test('every byte but NUL and slash can be in a name, and comes back', () => {
  const bytes = Buffer.from(
    Array.from({ length: 255 }, (_, index) => index + 1).filter((byte) => byte !== 0x2f),
  )
  const request = decodeAll(requestBytes(1, Buffer.concat([bytes, Buffer.alloc(1)])))
  assert.ok(request.opcode === 'LOOKUP')
  assert.deepEqual(Buffer.from(request.name, 'latin1'), bytes)
})

test('a request that is sent again keeps its identity and says so', () => {
  const request = decodeAll(requestBytes(17, '', { unique: 0x8000_0000_0000_0102n }))
  assert.equal(request.header?.unique, 0x102n)
  assert.equal(request.header?.resent, true)
})

test('sizes beyond 2^53 saturate', () => {
  const body = `0900000000000000|ffffffffffffffff|ffffffffffffffff|0000000000000000`
  const request = decodeAll(requestBytes(43, body))
  assert.ok(request.opcode === 'FALLOCATE')
  assert.equal(request.offset, Number.MAX_SAFE_INTEGER)
  assert.equal(request.length, Number.MAX_SAFE_INTEGER)
})

test('an opcode without a row is unknown, a length that lies is malformed', () => {
  const unknown = decodeAll(requestBytes(39, '00'.repeat(32)))
  assert.ok(unknown.opcode === 'unknown')
  assert.equal(unknown.number, 39)
  const lies = requestBytes(17)
  lies.writeUInt32LE(41, 0)
  assert.equal(decodeAll(lies).opcode, 'malformed')
})

test('a batch that counts more than it holds is malformed, and costs nothing', () => {
  const request = decodeAll(requestBytes(42, 'ffffffff|00000000|0700000000000000|0100000000000000'))
  assert.equal(request.opcode, 'malformed')
})

const numbers = Object.values(OPCODES).map(({ number }) => number)
const fuzzed = fc.record({
  number: fc.oneof(fc.constantFrom(...numbers), fc.nat(70), fc.integer({ min: 0, max: 0xffff_ffff })),
  body: fc.uint8Array({ maxLength: 300 }),
  extensionBytes: fc.oneof(fc.constant(0), fc.nat(1000)),
})

test('random bodies under every opcode never throw, and what is decoded lies within the request', () => {
  fc.assert(
    fc.property(fuzzed, ({ number, body, extensionBytes }) => {
      const bytes = requestBytes(number, body, { extensionBytes: extensionBytes * 8 })
      const request = decodeAll(bytes)
      if ('data' in request) {
        const at = request.data.byteOffset - bytes.byteOffset
        assert.ok(at >= 40 && at + request.data.byteLength <= bytes.length)
      }
    }),
    { numRuns: 2000 },
  )
})

test('random bytes never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const buffer = Buffer.from(bytes)
      if (buffer.length >= 4) buffer.writeUInt32LE(buffer.length, 0)
      decodeAll(buffer)
    }),
    { numRuns: 2000 },
  )
})

test('one byte changed anywhere in a sample never throws', () => {
  for (const { number, body } of SAMPLES) {
    const whole = requestBytes(number, body)
    for (let at = 0; at < whole.length; at++) {
      for (const value of [0, 1, 0x2f, 0x7f, 0xff]) {
        const changed = Buffer.from(whole)
        changed[at] = value
        const { opcode } = decodeAll(changed)
        assert.ok(
          opcode === 'malformed' || opcode === 'unknown' || opcode in OPCODES,
          opcode satisfies Opcode | string,
        )
      }
    }
  }
})
