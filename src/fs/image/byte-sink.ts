/**
 * A growing buffer that values are encoded into, and a variant of it that only counts the bytes. Must not:
 * interpret the values.
 */
import { BrokenInvariantError } from '../../values/errors.ts'
import type { ByteString } from '../../values/ids.ts'
import { dataViewOf, TWO_TO_32 } from './words.ts'

/** What values are encoded into. */
export interface ByteOutput {
  u8(value: number): void
  u32(value: number): void
  /** A signed integer of up to 53 bits, as two's complement in 8 bytes. */
  i64(value: number): void
  /** Seven bits a byte, low ones first, for 0 to 2^53 - 1. */
  varint(value: number): void
  /** Length as a varint, then the bytes. */
  bytes(value: Uint8Array): void
  /** Length as a varint, then the bytes of the name. */
  name(value: ByteString): void
}

/** Takes any value, also one that a `ByteSink` refuses. */
export class ByteCounter implements ByteOutput {
  #length = 0

  get length(): number {
    return this.#length
  }

  clear(): void {
    this.#length = 0
  }

  u8(): void {
    this.#length += 1
  }

  u32(): void {
    this.#length += 4
  }

  i64(): void {
    this.#length += 8
  }

  varint(value: number): void {
    let bytes = 1
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
    this.#length += bytes
  }

  bytes({ length }: Uint8Array): void {
    this.varint(length)
    this.#length += length
  }

  name({ length }: ByteString): void {
    this.varint(length)
    this.#length += length
  }
}

export class ByteSink implements ByteOutput {
  #buffer = Buffer.alloc(4096)
  #view = dataViewOf(this.#buffer)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Drops the content, and keeps the memory. */
  clear(): void {
    this.#length = 0
  }

  /** What was written so far. Valid until the next write or `clear`. */
  view(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  u8(value: number): void {
    if (value >>> 0 !== value || value > 0xff) throw unencodable(value, 'a byte')
    this.#reserve(1)
    this.#buffer[this.#length++] = value
  }

  u32(value: number): void {
    if (value >>> 0 !== value) throw unencodable(value, '32 bits')
    this.#reserve(4)
    this.#view.setUint32(this.#length, value, true)
    this.#length += 4
  }

  u64(value: bigint): void {
    this.#reserve(8)
    this.#view.setBigUint64(this.#length, value, true)
    this.#length += 8
  }

  i64(value: number): void {
    if (!Number.isSafeInteger(value)) throw unencodable(value, 'an integer')
    this.#reserve(8)
    this.#view.setUint32(this.#length, value, true)
    this.#view.setInt32(this.#length + 4, Math.floor(value / TWO_TO_32), true)
    this.#length += 8
  }

  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw unencodable(value, 'a varint')
    this.#reserve(8)
    let rest = value
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#buffer[this.#length++] = rest
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length)
    this.#reserve(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
  }

  name(value: ByteString): void {
    this.varint(value.length)
    this.#reserve(value.length)
    this.#length += this.#buffer.write(value, this.#length, 'latin1')
  }

  /** Zeros up to the next multiple of 8. */
  pad(): void {
    while (this.#length % 8 !== 0) this.u8(0)
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const larger = Buffer.alloc(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
    this.#view = dataViewOf(larger)
  }
}

const unencodable = (value: number, as: string): BrokenInvariantError =>
  new BrokenInvariantError(`${value} cannot be encoded as ${as}`)
