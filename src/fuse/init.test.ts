/** Tests of what is agreed with which kernel. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Negotiation, negotiate } from './init.ts'

/** An INIT that Linux 6.18 sent. */
const KERNEL = { major: 7, minor: 45, maxReadahead: 131072, flags: 0x73fffffb, flags2: 0x7ff }

const refusal = (negotiation: Negotiation): string => ('refusal' in negotiation ? negotiation.refusal : '')

test('a kernel that has everything is asked for passthrough and no more than we want', () => {
  const negotiation = negotiate(KERNEL)
  assert.ok('session' in negotiation)
  const { initOut, session } = negotiation
  // BIG_WRITES 5, READDIRPLUS 13 and 14, PARALLEL_DIROPS 18, MAX_PAGES 22, INIT_EXT 30; PASSTHROUGH 37,
  // HAS_RESEND 39.
  assert.equal(initOut.flags, 0x40446020)
  assert.equal(initOut.flags2, 0xa0)
  assert.equal(initOut.maxStackDepth, 1)
  assert.equal(initOut.maxWrite, initOut.maxPages * 4096)
  assert.equal(initOut.requestTimeout, 0)
  assert.deepEqual(session, { kernelMinor: 45, flags: 0x40446020, flags2: 0xa0, maxWriteBytes: 1048576 })
  assert.deepEqual(JSON.parse(JSON.stringify(session)), session)
})

test('what is only wanted may be missing', () => {
  const negotiation = negotiate({ ...KERNEL, flags: 0x40000000 })
  assert.ok('session' in negotiation)
  assert.equal(negotiation.session.flags, 0x40000000)
})

test('a kernel that cannot do it is told why', () => {
  assert.match(refusal(negotiate({ ...KERNEL, minor: 39 })), /FUSE 7\.39, 7\.40 is needed/)
  assert.match(refusal(negotiate({ ...KERNEL, major: 8 })), /FUSE 8\.45/)
  assert.match(refusal(negotiate({ ...KERNEL, flags2: 0x80 })), /no FUSE passthrough/)
  assert.match(refusal(negotiate({ ...KERNEL, flags2: 0x20 })), /lacks FUSE features/)
})
