/**
 * Tests that tables have the sizes of the kernel's structs and that decoding gives back what encoding was
 * given.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as layouts from './kernel-structs.ts'
import { type Fields, type FieldType, Layout, type Values } from './struct.ts'

/** sizeof() of each struct, as a C compiler has it. */
const SIZES: { readonly [L in keyof typeof layouts]: number } = {
  IN_HEADER: 40,
  OUT_HEADER: 16,
  INIT_IN: 64,
  INIT_OUT: 64,
  ATTR: 88,
  ATTR_OUT: 104,
  ENTRY_OUT: 128,
  FORGET_IN: 8,
  FORGET_ONE: 16,
  BATCH_FORGET_IN: 8,
  GETATTR_IN: 16,
  SETATTR_IN: 88,
  ACCESS_IN: 8,
  MKNOD_IN: 16,
  MKDIR_IN: 8,
  RENAME_IN: 8,
  RENAME2_IN: 16,
  LINK_IN: 8,
  CREATE_IN: 16,
  OPEN_IN: 8,
  OPEN_OUT: 16,
  RELEASE_IN: 24,
  FLUSH_IN: 24,
  FSYNC_IN: 16,
  READ_IN: 40,
  WRITE_IN: 40,
  WRITE_OUT: 8,
  FALLOCATE_IN: 32,
  LSEEK_IN: 24,
  LSEEK_OUT: 8,
  DIRENT: 24,
  SETXATTR_IN: 8,
  GETXATTR_IN: 8,
  GETXATTR_OUT: 8,
  STATFS_OUT: 80,
  INTERRUPT_IN: 8,
  NOTHING: 0,
}

test('every struct has the size the kernel gives it', () => {
  const sizes = Object.entries(layouts).map(([name, layout]) => [name, layout.sizeBytes])
  assert.deepEqual(Object.fromEntries(sizes), SIZES)
})

test('a field that C would pad to is refused when the table is made', () => {
  assert.throws(() => new Layout({ a: 'u32', b: 'u64' }), /field b \(u64\) is not aligned at 4/)
})

const VALUES: { readonly [T in FieldType]: fc.Arbitrary<unknown> } = {
  u16: fc.nat(0xffff),
  u32: fc.nat(0xffff_ffff),
  s32: fc.integer(),
  u64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  nodeid: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  quantity: fc.maxSafeNat(),
  s64: fc.maxSafeInteger(),
  pad16: fc.constant(undefined),
  pad32: fc.constant(undefined),
  pad64: fc.constant(undefined),
}

const ALL = {
  a: 'u64',
  b: 'quantity',
  c: 's64',
  d: 'nodeid',
  p: 'pad64',
  e: 'u32',
  f: 's32',
  g: 'u16',
  q: 'pad16',
  h: 'pad32',
} as const satisfies Fields

test('what was encoded is decoded, at any offset, and pads come out zero', () => {
  const layout = new Layout(ALL)
  const { a, b, c, d, e, f, g } = ALL
  const values = fc.record(
    { a: VALUES[a], b: VALUES[b], c: VALUES[c], d: VALUES[d], e: VALUES[e], f: VALUES[f], g: VALUES[g] },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(values, fc.nat(50), (value, offset) => {
      const view = new DataView(new ArrayBuffer(layout.sizeBytes + offset + 8))
      new Uint8Array(view.buffer).fill(0xa5)
      layout.encode(view, offset, value as Values<typeof ALL>)
      assert.deepEqual(layout.decode(view, offset), value)
      assert.equal(view.getBigUint64(offset + layout.at.p, true), 0n)
      assert.equal(view.getUint32(offset + layout.at.h, true), 0)
      for (const outside of [offset - 1, offset + layout.sizeBytes]) {
        if (outside >= 0) assert.equal(view.getUint8(outside), 0xa5)
      }
    }),
  )
})

test('amounts beyond 2^53 saturate when decoded', () => {
  const layout = new Layout({ unsigned: 'quantity', signed: 's64' })
  const view = new DataView(new ArrayBuffer(16))
  view.setBigUint64(0, 2n ** 64n - 1n, true)
  view.setBigInt64(8, -(2n ** 63n), true)
  assert.deepEqual(layout.decode(view, 0), {
    unsigned: Number.MAX_SAFE_INTEGER,
    signed: Number.MIN_SAFE_INTEGER,
  })
})
