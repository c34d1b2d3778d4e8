/** A growing buffer that values are encoded into. Must not: interpret the values. */
import { BrokenInvariantError } from '../../values/errors.ts'
import type { ByteString } from '../../values/ids.ts'

const TWO_TO_32 = 2 ** 32

export class ByteSink {
  #buffer = Buffer.alloc(4096)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Forget the content, keep the memory. */
  clear(): void {
    this.#length = 0
  }

  /** What was written so far. Valid until the next write or `clear`. */
  view(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  u8(value: number): void {
    this.#reserve(1)
    this.#length = this.#buffer.writeUInt8(value, this.#length)
  }

  u32(value: number): void {
    this.#reserve(4)
    this.#length = this.#buffer.writeUInt32LE(value, this.#length)
  }

  u64(value: bigint): void {
    this.#reserve(8)
    this.#length = this.#buffer.writeBigUInt64LE(value, this.#length)
  }

  /** A signed integer of up to 53 bits, as two's complement in 8 bytes. */
  i64(value: number): void {
    if (!Number.isSafeInteger(value))
      throw new BrokenInvariantError(`${value} cannot be encoded as an integer`)
    const high = Math.floor(value / TWO_TO_32)
    this.u32(value - high * TWO_TO_32)
    this.u32(high >>> 0)
  }

  /** Seven bits a byte, low ones first, for 0 to 2^53 - 1. */
  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new BrokenInvariantError(`${value} cannot be encoded as a varint`)
    }
    this.#reserve(8)
    let rest = value
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#buffer[this.#length++] = rest
  }

  /** Length as a varint, then the bytes. */
  bytes(value: Uint8Array): void {
    this.varint(value.length)
    this.#reserve(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
  }

  /** Length as a varint, then the bytes of the name. */
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
  }
}
