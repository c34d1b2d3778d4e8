/**
 * A request's bytes turned into a typed request. Must not: throw, whatever the bytes are. Bytes that are not
 * a request are returned as `malformed`, with the reason and, where it could be read, the header to answer
 * to.
 */
import type { ByteString, NodeId } from '../values/ids.ts'
import { FUSE_UNIQUE_RESEND, TEXT_MAX, XATTR_NAME_MAX } from './constants.ts'
import { FORGET_ONE, IN_HEADER } from './kernel-structs.ts'
import {
  type FuseRequest,
  type NameKind,
  OPCODES,
  type Opcode,
  type RequestHeader,
  type Row,
} from './opcodes.ts'

export type Decoded =
  | FuseRequest
  | { readonly opcode: 'unknown'; readonly number: number; readonly header: RequestHeader }
  | {
      readonly opcode: 'malformed'
      readonly header: RequestHeader | undefined
      readonly answered: boolean
      readonly reason: string
    }

interface KnownOpcode {
  readonly opcode: Opcode
  readonly row: Row
}

/** Indexed by opcode number: a request costs one array access, not a search. */
const byNumber: (KnownOpcode | undefined)[] = []
for (const [opcode, row] of Object.entries<Row>(OPCODES))
  byNumber[row.number] = { opcode: opcode as Opcode, row }

/**
 * Decodes the first `length` bytes of `buffer`, one request as /dev/fuse gives it. Names are copied out,
 * `data` is a view into `buffer`. Struct bytes and extensions that a newer kernel may add behind the known
 * ones are skipped.
 */
export function decode(buffer: Buffer, length: number): Decoded {
  const view = new DataView(buffer.buffer, buffer.byteOffset, length)
  if (length < IN_HEADER.sizeBytes) return malformed(undefined, true, `${length} bytes are no request header`)
  const number = view.getUint32(IN_HEADER.at.opcode, true)
  const header = decodeHeader(view)
  const known = byNumber[number]
  const isAnswered = known?.row.answered ?? true
  const len = view.getUint32(IN_HEADER.at.len, true)
  const extensionBytes = view.getUint16(IN_HEADER.at.totalExtlen, true) * 8
  const end = length - extensionBytes
  if (len !== length) return malformed(header, isAnswered, `header says ${len} bytes, ${length} were read`)
  if (known === undefined) return { opcode: 'unknown', number, header }
  const { opcode, row } = known
  const bodyAt = IN_HEADER.sizeBytes
  const namesAt = bodyAt + row.struct.sizeBytes
  if (end < namesAt)
    return malformed(header, isAnswered, `${opcode} with ${end - bodyAt} of ${row.struct.sizeBytes} bytes`)

  const request: Record<string, unknown> = { opcode, header }
  row.struct.decodeInto(request, view, bodyAt)
  let at = namesAt
  for (const name in row.names) {
    let nul = at
    while (nul < end && buffer[nul] !== 0) nul++
    if (nul === end) return malformed(header, isAnswered, `${opcode} ${name} has no end`)
    const text = buffer.toString('latin1', at, nul) as ByteString
    const wrong = whatIsWrong(text, row.names[name] as NameKind)
    if (wrong !== undefined) return malformed(header, isAnswered, `${opcode} ${name} ${wrong}`)
    request[name] = text
    at = nul + 1
  }
  if (row.tail === 'bytes') {
    const size = request.size as number
    if (end - at < size)
      return malformed(header, isAnswered, `${opcode} with ${end - at} of ${size} bytes of data`)
    request.data = buffer.subarray(at, at + size)
  } else if (row.tail === 'forgets') {
    const count = request.count as number
    if ((end - at) / FORGET_ONE.sizeBytes < count)
      return malformed(header, isAnswered, `${opcode} is shorter than its ${count} items`)
    request.forgets = Array.from({ length: count }, (_, index) =>
      FORGET_ONE.decode(view, at + index * FORGET_ONE.sizeBytes),
    )
  } else if (opcode === 'INTERRUPT') {
    // Names the request it interrupts, which the kernel may have sent again: compare identities.
    request.unique = (request.unique as bigint) & ~FUSE_UNIQUE_RESEND
  }
  return request as FuseRequest
}

function decodeHeader(view: DataView): RequestHeader {
  const { at } = IN_HEADER
  const wireUnique = view.getBigUint64(at.unique, true)
  const resent = view.getUint8(at.unique + 7) >= 0x80
  return {
    unique: resent ? wireUnique & ~FUSE_UNIQUE_RESEND : wireUnique,
    resent,
    nodeid: view.getBigUint64(at.nodeid, true) as NodeId,
    uid: view.getUint32(at.uid, true),
    gid: view.getUint32(at.gid, true),
    pid: view.getUint32(at.pid, true),
  }
}

/**
 * The kernel never sends such text; a server must not depend on that. A component may be longer than
 * NAME_MAX: the kernel leaves it to the file system to answer ENAMETOOLONG (FUSE_NAME_MAX, fs/fuse/fuse_i.h).
 */
function whatIsWrong(text: ByteString, kind: NameKind): string | undefined {
  if (text.length === 0) return 'is empty'
  if (text.length > (kind === 'xattr' ? XATTR_NAME_MAX : TEXT_MAX)) return `is ${text.length} bytes long`
  if (kind === 'component' && text.includes('/')) return 'has a slash in it'
  return undefined
}

function malformed(header: RequestHeader | undefined, answered: boolean, reason: string): Decoded {
  return { opcode: 'malformed', header, answered: answered && header !== undefined, reason }
}
