/**
 * The checked word: a 32-bit number and its complement in one aligned 64-bit word, stored at once. Zero is
 * never a checked word: it means "nothing here". Reading only; stores go through writer.ts.
 */

export type Word = { readonly kind: 'zero' } | { readonly kind: 'invalid' } | WordValue
export interface WordValue {
  readonly kind: 'value'
  readonly value: number
}

/** What the upper half of a 64-bit word counts in. */
export const TWO_TO_32 = 2 ** 32

const ZERO: Word = { kind: 'zero' }
const INVALID: Word = { kind: 'invalid' }

/** Little-endian view over any bytes; shared by everything that reads the area at fixed places. */
export const dataViewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Two 32-bit halves as the 64-bit word that has `low` at the lower address. */
export const wordOf = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)

export const checkedWord = (value: number): bigint => wordOf(value, ~value)

/** The checked word at `offset`: its value, or that it is zero, or that it is neither. */
export function readCheckedWord(area: DataView, offset: number): Word {
  const low = area.getUint32(offset, true)
  const high = area.getUint32(offset + 4, true)
  if (low === 0 && high === 0) return ZERO
  return (low ^ high) >>> 0 === 0xffffffff ? { kind: 'value', value: low } : INVALID
}
