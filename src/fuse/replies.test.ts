/** Tests that replies are, byte for byte, what the kernel header describes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ENOENT } from '../values/errno.ts'
import type { BackingId, NodeId } from '../values/ids.ts'
import { byteString, toBytes } from '../values/ids.ts'
import type { RequestHeader } from './opcodes.ts'
import { Reply } from './replies.ts'
import { hex } from './testing/request-bytes.ts'

const HEADER: RequestHeader = { unique: 0x102n, resent: false, nodeid: 1n as NodeId, uid: 0, gid: 0, pid: 0 }
const UNIQUE = '0201000000000000'

const ATTRIBUTES = {
  ino: 7,
  sizeBytes: 2 ** 32 + 1,
  blocks: 8192,
  atime: { seconds: -1, nanoseconds: 1 },
  mtime: { seconds: 2, nanoseconds: 2 },
  ctime: { seconds: 3, nanoseconds: 3 },
  mode: 0o100644,
  links: 2,
  uid: 1000,
  gid: 1001,
  rdev: 0,
  blksize: 4096,
}
const ATTRIBUTE_BYTES = `0700000000000000|0100000001000000|0020000000000000|ffffffffffffffff|0200000000000000|0300000000000000|
  01000000|02000000|03000000|a4810000|02000000|e8030000|e9030000|00000000|00100000|00000000`
const ENTRY = {
  nodeid: 0x5_0000_0007n as NodeId,
  generation: 5,
  entryValidSeconds: 0,
  attrValidSeconds: 1.5,
  attributes: ATTRIBUTES,
}
const ENTRY_BYTES = `0700000005000000|0500000000000000|0000000000000000|0100000000000000|00000000|0065cd1d|${ATTRIBUTE_BYTES}`
const OPEN = { fh: 9n, flags: 0xa1, backingId: 3 as BackingId }
const OPEN_BYTES = '0900000000000000|a1000000|03000000'

/** The buffer begins dirty: whatever a reply leaves out would be seen. */
function replyOf(fill: (reply: Reply) => void, header = HEADER): Buffer {
  const reply = new Reply(65536)
  reply.dataArea(65536).fill(0xa5)
  reply.begin(header)
  fill(reply)
  return Buffer.from(reply.bytes)
}
function expect(fill: (reply: Reply) => void, lengthHex: string, body: string): void {
  assert.equal(replyOf(fill).toString('hex'), hex(`${lengthHex}|00000000|${UNIQUE}|${body}`).toString('hex'))
}

test('header alone: success and error', () => {
  expect((reply) => reply.empty(), '10000000', '')
  assert.equal(
    replyOf((reply) => reply.error(ENOENT)).toString('hex'),
    hex(`10000000|feffffff|${UNIQUE}`).toString('hex'),
  )
})

test('the reply to a re-sent request carries the mark the kernel put on it', () => {
  const bytes = replyOf((reply) => reply.empty(), { ...HEADER, resent: true })
  assert.equal(bytes.readBigUInt64LE(8), 0x8000_0000_0000_0102n)
})

test('entry, attributes, open, create', () => {
  expect((reply) => reply.entry(ENTRY), '90000000', ENTRY_BYTES)
  expect(
    (reply) => reply.attr(ATTRIBUTES, 0.25),
    '78000000',
    `0000000000000000|80b2e60e|00000000|${ATTRIBUTE_BYTES}`,
  )
  expect((reply) => reply.open(OPEN), '20000000', OPEN_BYTES)
  expect((reply) => reply.open({ fh: 1n, flags: 0 }), '20000000', '0100000000000000|00000000|00000000')
  expect((reply) => reply.create(ENTRY, OPEN), 'a0000000', `${ENTRY_BYTES}|${OPEN_BYTES}`)
})

test('sizes and offsets: write, lseek, xattr size', () => {
  expect((reply) => reply.write(4096), '18000000', '00100000|00000000')
  expect((reply) => reply.lseek(2 ** 40), '18000000', '0000000000010000')
  expect((reply) => reply.xattrSize(65536), '18000000', '00000100|00000000')
})

test('data, copied in or put in place', () => {
  expect((reply) => reply.data(Buffer.from('abc')), '13000000', '616263')
  expect(
    (reply) => {
      reply.dataArea(8).set(Buffer.from('abc'))
      reply.filled(3)
    },
    '13000000',
    '616263',
  )
})

test('statfs', () => {
  const values = {
    blocks: 10,
    bfree: 5,
    bavail: 4,
    files: 3,
    ffree: 2,
    bsize: 2 ** 21,
    namelen: 255,
    frsize: 2 ** 21,
  }
  expect(
    (reply) => reply.statfs(values),
    '60000000',
    `0a00000000000000|0500000000000000|0400000000000000|0300000000000000|0200000000000000|00002000|ff000000|00002000|00000000|${'00'.repeat(24)}`,
  )
})

test('directory entries are aligned, zero-filled, and typed by their mode', () => {
  expect(
    (reply) => {
      reply.beginDirectory(4096)
      assert.ok(reply.name(byteString('.'), 1, 0o40755, 1))
      assert.ok(reply.name(byteString('eight888'), 7, 0o100644, 3))
      assert.ok(reply.name(byteString('s'), 8, 0o120777, 4))
      reply.endDirectory()
    },
    '70000000',
    `0100000000000000|0100000000000000|01000000|04000000|2e00000000000000
     0700000000000000|0300000000000000|08000000|08000000|6569676874383838
     0800000000000000|0400000000000000|01000000|0a000000|7300000000000000`,
  )
})

test('an entry with attributes, and one that is not to be looked up', () => {
  expect(
    (reply) => {
      reply.beginDirectory(4096)
      assert.ok(reply.namePlus(byteString('..'), 1, 0o40755, 2, undefined))
      assert.ok(reply.namePlus(byteString('f'), 7, 0o100644, 3, ENTRY))
      reply.endDirectory()
    },
    '50010000',
    `${'00'.repeat(128)}|0100000000000000|0200000000000000|02000000|04000000|2e2e000000000000
     ${ENTRY_BYTES}|0700000000000000|0300000000000000|01000000|08000000|6600000000000000`,
  )
})

test('a directory never gets larger than what was asked for, and what did not fit left no trace', () => {
  const names = fc.array(fc.string({ minLength: 1, maxLength: 255, unit: 'binary-ascii' }), { maxLength: 40 })
  fc.assert(
    fc.property(names, fc.nat(3000), fc.boolean(), (candidates, size, plus) => {
      const added: string[] = []
      const bytes = replyOf((reply) => {
        reply.beginDirectory(size)
        for (const text of candidates) {
          const name = byteString(text)
          const fits = plus ? reply.namePlus(name, 7, 0o100644, 3, ENTRY) : reply.name(name, 7, 0o100644, 3)
          if (!fits) break
          added.push(text)
        }
        reply.endDirectory()
      })
      assert.ok(bytes.length - 16 <= size)
      const found: string[] = []
      for (let at = 16; at < bytes.length; ) {
        const dirent = at + (plus ? 128 : 0)
        const length = bytes.readUInt32LE(dirent + 16)
        found.push(bytes.toString('latin1', dirent + 24, dirent + 24 + length))
        at = dirent + Math.ceil((24 + length) / 8) * 8
      }
      assert.deepEqual(found, added)
    }),
  )
})

test('a name of any bytes is written as it is', () => {
  const name = byteString('ü€\u{1f600}')
  const bytes = replyOf((reply) => {
    reply.beginDirectory(4096)
    reply.name(name, 1, 0o100644, 1)
    reply.endDirectory()
  })
  assert.deepEqual(bytes.subarray(40, 40 + name.length), toBytes(name))
})

test('two replies to one request are a bug that is not sent', () => {
  assert.throws(() =>
    replyOf((reply) => {
      reply.empty()
      reply.empty()
    }),
  )
})
