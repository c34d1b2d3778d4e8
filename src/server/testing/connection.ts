/**
 * Servers on a connection without a kernel, over a file system in memory, and the requests that a test has
 * them answer.
 */
import assert from 'node:assert/strict'
import { type Fixture, n, ok, ROOT } from '../../fs/testing/fixture.ts'
import { decode } from '../../fuse/decode.ts'
import { ANSWERED, Reply } from '../../fuse/replies.ts'
import type { AnswerRequest, HandledRequest } from '../../fuse/session.ts'
import { requestBytes } from '../../fuse/testing/request-bytes.ts'
import type { Fd, NodeId } from '../../values/ids.ts'
import { Context, type Operations } from '../context.ts'
import { Dispatcher, OPERATIONS } from '../dispatch.ts'
import { KernelView } from '../kernel-view.ts'
import { ParkedRequests } from '../parked-requests.ts'
import { RUNTIME_AREA_BYTES, RuntimeArea } from '../runtime-area.ts'

/** No connection: nothing here writes to it. */
const NO_FUSE = -1 as Fd

/** One server after the other on a connection, over the file system of `fx`. `nowMs`: their clock. */
export function connection(fx: Fixture, nowMs?: () => number) {
  const runtime = new RuntimeArea(new Uint8Array(RUNTIME_AREA_BYTES))
  runtime.establish(1, {})
  const reports: string[] = []
  const reply = new Reply(4096)
  const startServer = (operations: Operations = OPERATIONS) => {
    const { fs, store, journal } = fx
    const parked = new ParkedRequests()
    const kernel = new KernelView(runtime, NO_FUSE, (ino) => fs.inode(ino))
    const context = new Context({ fs, store, kernel, parked, runtime })
    const report = (line: string) => void reports.push(line)
    const applied = journal.lastOrigin
    const dispatcher = new Dispatcher({
      context,
      runtime,
      applied,
      report,
      operations,
      ...(nowMs && { nowMs }),
    })
    /** The error that `request` was answered with, 0 without one; undefined: no reply. */
    const ask = (request: HandledRequest): number | undefined => {
      reply.begin(request.header)
      const outcome = dispatcher.handle(request, reply)
      assert.equal(outcome === ANSWERED, reply.isFilled)
      return reply.isFilled ? errorOf(reply) : undefined
    }
    /** The errors of the requests that a retry answered, by their ids. */
    const retry = (): [bigint, number][] => {
      const answered: [bigint, number][] = []
      const answer: AnswerRequest = (request, handle) => {
        reply.begin(request.header)
        if (handle(request, reply) === ANSWERED) answered.push([request.header.unique, errorOf(reply)])
      }
      dispatcher.retryParked(answer)
      return answered
    }
    return { context, kernel, parked, ask, retry }
  }
  return { runtime, reports, reply, startServer }
}

const errorOf = (reply: Reply): number => Buffer.from(reply.bytes).readInt32LE(4)

export const RESENT = 1n << 63n

interface Header {
  readonly unique: bigint
  readonly nodeid?: bigint
}

export function request(number: number, body: string | Uint8Array, header: Header): HandledRequest {
  const bytes = requestBytes(number, body, header)
  const decoded = decode(Buffer.from(bytes), bytes.length)
  assert.notEqual(decoded.opcode, 'malformed')
  return decoded as HandledRequest
}

export const statfs = (header: Header) => request(17, '', header)
export const getattr = (header: Header) => request(3, new Uint8Array(16), header)
/** FORGET of one lookup. */
export const forget = (nodeid: bigint) => request(2, '0100000000000000', { unique: 0n, nodeid })
export const create = (name: string, header: Omit<Header, 'nodeid'>) =>
  request(35, Buffer.concat([Buffer.alloc(16), Buffer.from(`${name}\0`)]), { ...header, nodeid: 1n })
export function interrupt(unique: bigint) {
  const body = Buffer.alloc(8)
  body.writeBigUInt64LE(unique)
  return request(36, body, { unique: unique | 1n })
}
/** FALLOCATE of so many bytes from the beginning: fh, offset, length, mode, padding. */
export function fallocate(lengthBytes: number, header: Header) {
  const body = Buffer.alloc(32)
  body.writeBigUInt64LE(BigInt(lengthBytes), 16)
  return request(43, body, header)
}

export function nodeIdOf(fx: Fixture, name: string): NodeId {
  const { ino, generation } = ok(fx.fs.lookup(ROOT, n(name)))
  return ((BigInt(generation) << 32n) | BigInt(ino)) as NodeId
}
