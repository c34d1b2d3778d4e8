/**
 * Bytes as read(2) of /dev/fuse could return them, one or more requests: the real decoder and dispatcher,
 * over a file system in memory, must not throw; afterwards the tables must be consistent.
 */
import assert from 'node:assert/strict'
import { checkInvariants, fixture } from '../../../src/fs/testing/fixture.ts'
import { NODES } from '../../../src/fs/testing/memory-store.ts'
import { decode } from '../../../src/fuse/decode.ts'
import { negotiate } from '../../../src/fuse/init.ts'
import { ANSWERED, Reply } from '../../../src/fuse/replies.ts'
import { requestBytes, SAMPLES } from '../../../src/fuse/testing/request-bytes.ts'
import { Context } from '../../../src/server/context.ts'
import { Dispatcher } from '../../../src/server/dispatch.ts'
import { KernelView } from '../../../src/server/kernel-view.ts'
import { ParkedRequests } from '../../../src/server/parked-requests.ts'
import { RUNTIME_AREA_BYTES, RuntimeArea } from '../../../src/server/runtime-area.ts'
import type { GuestRam } from '../../../src/stores/store.ts'
import type { Fd } from '../../../src/values/ids.ts'
import type { Target } from '../target.ts'

const NO_FUSE = -1 as Fd
const HEADER_BYTES = 40
const MOST_REQUESTS = 32
const REPLY_BYTES = 64 * 1024
/** Node ids of the root, and of the first files. */
const NODE_IDS = [1n, 0x1_0000_0002n, 0x2_0000_0003n, 0x3_0000_0004n, 0x1_8000_0002n]

/** Guest RAM as each kind of store has it; undefined: by passthrough, which no kernel grants here. */
const RAMS: readonly (GuestRam | undefined)[] = [
  { via: 'devmem', mapping: () => ({ via: 'none' }) },
  NODES,
  undefined,
]

function word(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes
}

const area = new Uint8Array(RUNTIME_AREA_BYTES)

export const fuse: Target = {
  isJson: false,
  dictionary: [
    ...NODE_IDS.map(word),
    ...SAMPLES.map(({ body }) => requestBytes(1, body).subarray(HEADER_BYTES)),
    'user.x\0',
    'f\0',
  ],
  seeds: () => {
    const bodies = SAMPLES.flatMap(({ number, body }, index) =>
      NODE_IDS.slice(0, 2).map((nodeid) =>
        requestBytes(number, body, { nodeid, unique: 2n * BigInt(index + 1) }),
      ),
    )
    return [...bodies, Buffer.concat(bodies), Buffer.concat(bodies.toReversed())]
  },
  run(input) {
    const bytes = Buffer.from(input)
    const fx = fixture()
    fx.file('f')
    fx.file('g', 5)
    const ram = RAMS[input.length % RAMS.length]
    if (ram !== undefined) fx.store.ram = ram
    area.fill(0, 0, 64 * 1024)
    const runtime = new RuntimeArea(area)
    runtime.establish(1, {})
    const { fs, store, journal } = fx
    const kernel = new KernelView(
      runtime,
      NO_FUSE,
      (ino) => fs.inode(ino),
      () => true,
    )
    const context = new Context({ fs, store, kernel, parked: new ParkedRequests(), runtime })
    const dispatcher = new Dispatcher({ context, runtime, applied: undefined, report: () => {} })
    const reply = new Reply(REPLY_BYTES)
    for (let at = 0, count = 0; at < bytes.length && count < MOST_REQUESTS; count++) {
      const said = bytes.length - at >= 4 ? bytes.readUInt32LE(at) : 0
      const length = said >= HEADER_BYTES && said <= bytes.length - at ? said : bytes.length - at
      answer(dispatcher, bytes.subarray(at, at + length), reply)
      at += length
    }
    context.evictions.endAll()
    checkInvariants(fs, journal)
  },
}

function answer(dispatcher: Dispatcher, bytes: Buffer, reply: Reply): void {
  const request = decode(bytes, bytes.length)
  if (request.opcode === 'malformed') {
    assert.equal(
      request.answered && request.header === undefined,
      false,
      'who is to be answered is not known',
    )
    return
  }
  if (request.opcode === 'unknown') return
  if (request.opcode === 'INIT') {
    negotiate(request)
    return
  }
  reply.begin(request.header)
  assert.equal(dispatcher.handle(request, reply) === ANSWERED, reply.isFilled, request.opcode)
}
