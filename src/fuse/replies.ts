/**
 * Typed results turned into reply bytes, in one buffer that every reply reuses. Must not: decide or send.
 * `begin` names the request to answer; exactly one of the methods that return ANSWERED (for a directory:
 * `endDirectory`) fills the reply; `bytes` is what to write. Layouts are those of include/uapi/linux/fuse.h.
 */
import type { Errno } from '../values/errno.ts'
import { BrokenInvariantError } from '../values/errors.ts'
import { type ByteString, toBytes } from '../values/ids.ts'
import { FUSE_UNIQUE_RESEND } from './constants.ts'
import {
  type Attributes,
  direntBytes,
  type EntryReply,
  type OpenReply,
  putAttributes,
  putDirent,
  putEntry,
  putOpen,
  putValidity,
} from './entry-bytes.ts'
import * as layouts from './kernel-structs.ts'
import type { RequestHeader } from './opcodes.ts'
import type { Fields, Layout, Values, ValuesOf } from './struct.ts'

export type { Attributes, EntryReply, OpenReply, Time } from './entry-bytes.ts'

const HEADER = layouts.OUT_HEADER
const BODY = HEADER.sizeBytes

/**
 * What each method that fills the reply returns, and nothing else does: where a handler has to return it, one
 * that forgets to answer does not compile.
 */
export const ANSWERED: unique symbol = Symbol('answered')
export type Answered = typeof ANSWERED

export class Reply {
  readonly #buffer: Buffer
  readonly #view: DataView
  #length = 0
  #unique = 0n
  /** The end of the directory entries so far, and where they must end. */
  #directoryAt = 0
  #directoryEnd = 0

  /** Room for replies with up to `maxDataBytes` of data. */
  constructor(maxDataBytes: number) {
    this.#buffer = Buffer.alloc(Math.max(BODY + maxDataBytes, 4096))
    this.#view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.byteLength)
  }

  begin(header: RequestHeader): void {
    // The kernel looks a request up by the id it sent, RESEND mark included (fuse_request_find,
    // fs/fuse/dev.c).
    this.#unique = header.resent ? header.unique | FUSE_UNIQUE_RESEND : header.unique
    this.#length = 0
  }

  get isFilled(): boolean {
    return this.#length > 0
  }

  /** The reply to write, a view valid until the next `begin`. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  /** For a reply that the kernel refused. */
  replaceByError(errno: Errno): void {
    this.#length = 0
    this.error(errno)
  }

  error(errno: Errno): Answered {
    return this.#finish(0, -errno.code)
  }

  empty(): Answered {
    return this.#finish(0)
  }

  entry(entry: EntryReply): Answered {
    putEntry(this.#view, BODY, entry)
    return this.#finish(layouts.ENTRY_OUT.sizeBytes)
  }

  attr(attributes: Attributes, validSeconds: number): Answered {
    const { at } = layouts.ATTR_OUT
    putValidity(this.#view, BODY + at.attrValid, BODY + at.attrValidNsec, validSeconds)
    this.#view.setUint32(BODY + at.dummy, 0, true)
    putAttributes(this.#view, BODY + at.ino, attributes)
    return this.#finish(layouts.ATTR_OUT.sizeBytes)
  }

  open(open: OpenReply): Answered {
    putOpen(this.#view, BODY, open)
    return this.#finish(layouts.OPEN_OUT.sizeBytes)
  }

  create(entry: EntryReply, open: OpenReply): Answered {
    putEntry(this.#view, BODY, entry)
    putOpen(this.#view, BODY + layouts.ENTRY_OUT.sizeBytes, open)
    return this.#finish(layouts.ENTRY_OUT.sizeBytes + layouts.OPEN_OUT.sizeBytes)
  }

  /** `size`: how many bytes were taken. */
  write(size: number): Answered {
    return this.#struct(layouts.WRITE_OUT, { size })
  }

  statfs(values: ValuesOf<typeof layouts.STATFS_OUT>): Answered {
    return this.#struct(layouts.STATFS_OUT, values)
  }

  init(values: ValuesOf<typeof layouts.INIT_OUT>): Answered {
    return this.#struct(layouts.INIT_OUT, values)
  }

  lseek(offset: number): Answered {
    return this.#struct(layouts.LSEEK_OUT, { offset })
  }

  /** GETXATTR or LISTXATTR with `size` 0: how large the answer would be. */
  xattrSize(size: number): Answered {
    return this.#struct(layouts.GETXATTR_OUT, { size })
  }

  /** READ, READLINK, GETXATTR, LISTXATTR: the bytes alone. Never more than the request's `size`. */
  data(bytes: Uint8Array): Answered {
    this.#buffer.set(bytes, BODY)
    return this.#finish(bytes.byteLength)
  }

  /** Where a READ's bytes may be put directly; `filled` then says how many there are. Saves a copy. */
  dataArea(sizeBytes: number): Uint8Array {
    return this.#buffer.subarray(BODY, BODY + sizeBytes)
  }

  filled(sizeBytes: number): Answered {
    return this.#finish(sizeBytes)
  }

  /**
   * READDIR or READDIRPLUS: `size` is the request's. Then `name` or `namePlus` until one returns false, then
   * `endDirectory`.
   */
  beginDirectory(size: number): void {
    this.#directoryAt = BODY
    this.#directoryEnd = Math.min(BODY + size, this.#buffer.byteLength)
  }

  /**
   * Adds an entry for READDIR. `cookie` is where the next read continues: behind this entry. False: no room,
   * nothing was added. `mode` supplies the file type alone.
   */
  name(name: ByteString, ino: number, mode: number, cookie: number): boolean {
    const bytes = toBytes(name)
    const size = direntBytes(bytes)
    if (this.#directoryAt + size > this.#directoryEnd) return false
    putDirent(this.#view, this.#directoryAt, bytes, ino, mode, cookie)
    this.#directoryAt += size
    return true
  }

  /**
   * Adds an entry for READDIRPLUS. The kernel counts it as a lookup of `entry.nodeid`, so the caller counts
   * it, too; `.` and `..`, and names that are not to be looked up, have no `entry`. False: no room, nothing
   * was added or is to be counted.
   */
  namePlus(
    name: ByteString,
    ino: number,
    mode: number,
    cookie: number,
    entry: EntryReply | undefined,
  ): boolean {
    const bytes = toBytes(name)
    const entryBytes = layouts.ENTRY_OUT.sizeBytes
    const size = entryBytes + direntBytes(bytes)
    const start = this.#directoryAt
    if (start + size > this.#directoryEnd) return false
    if (entry === undefined) this.#buffer.fill(0, start, start + entryBytes)
    else putEntry(this.#view, start, entry)
    putDirent(this.#view, start + entryBytes, bytes, ino, mode, cookie)
    this.#directoryAt += size
    return true
  }

  endDirectory(): Answered {
    return this.#finish(this.#directoryAt - BODY)
  }

  #struct<F extends Fields>(layout: Layout<F>, values: Values<F>): Answered {
    layout.encode(this.#view, BODY, values)
    return this.#finish(layout.sizeBytes)
  }

  #finish(bodyBytes: number, error = 0): Answered {
    if (this.#length > 0) throw new BrokenInvariantError('a second reply to one request')
    const view = this.#view
    this.#length = BODY + bodyBytes
    view.setUint32(HEADER.at.len, this.#length, true)
    view.setInt32(HEADER.at.error, error, true)
    view.setBigUint64(HEADER.at.unique, this.#unique, true)
    return ANSWERED
  }
}
