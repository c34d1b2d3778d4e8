/**
 * Reads encoded values out of untrusted bytes. Every step checks its bounds: whatever the bytes are, the
 * outcome is a value or a `CorruptBytesError`, never a read outside.
 */
import { CorruptBytesError } from '../../values/errors.ts'
import type { ByteString } from '../../values/ids.ts'
import { dataViewOf, TWO_TO_32 } from './words.ts'

export class ByteSource {
  readonly #bytes: Buffer
  readonly #view: DataView
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#view = dataViewOf(bytes)
  }

  get position(): number {
    return this.#position
  }

  get exhausted(): boolean {
    return this.#position === this.#bytes.length
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1))
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true)
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true)
  }

  i64(): number {
    const start = this.#advance(8)
    const value = this.#view.getInt32(start + 4, true) * TWO_TO_32 + this.#view.getUint32(start, true)
    if (!Number.isSafeInteger(value)) throw new CorruptBytesError(`an integer is beyond 53 bits`)
    return value
  }

  varint(): number {
    // Most are one byte: opening an image reads hundreds of thousands.
    const first = this.u8()
    if (first < 0x80) return first
    this.#position--
    let value = 0
    let unit = 1
    for (let count = 0; count < 8; count++) {
      const byte = this.u8()
      value += (byte & 0x7f) * unit
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break
        return value
      }
      unit *= 0x80
    }
    throw new CorruptBytesError('a varint is beyond 53 bits')
  }

  /** Copied out: the result stays valid when the area is written again. `limit` in bytes. */
  bytes(limit: number): Uint8Array {
    const length = this.#length(limit)
    const start = this.#advance(length)
    return new Uint8Array(this.#bytes.subarray(start, start + length))
  }

  name(limit: number): ByteString {
    const length = this.#length(limit)
    const start = this.#advance(length)
    return this.#bytes.toString('latin1', start, start + length) as ByteString
  }

  #length(limit: number): number {
    const length = this.varint()
    if (length > limit)
      throw new CorruptBytesError(`a length of ${length} bytes is above its limit of ${limit}`)
    return length
  }

  #advance(bytes: number): number {
    const start = this.#position
    if (bytes > this.#bytes.length - start) throw new CorruptBytesError('an entry runs past its end')
    this.#position = start + bytes
    return start
  }
}
