/**
 * The narrowing of 64-bit numbers of the FUSE protocol to JavaScript numbers; no other file does it.
 * Quantities (sizes, offsets, seconds) saturate at +-(2^53 - 1): no file or time here is that large, so a
 * saturated one runs into the same EFBIG or EINVAL as the exact one would. Identities are never narrowed:
 * they stay `bigint`.
 */
const WORD = 0x1_0000_0000

/** An unsigned quantity out of its two 32-bit halves. */
export function unsignedQuantity(low: number, high: number): number {
  const value = high * WORD + low
  return value > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : value
}

/** A signed (two's complement) quantity: `high` is the signed upper half. */
export function signedQuantity(low: number, high: number): number {
  const value = high * WORD + low
  if (value > Number.MAX_SAFE_INTEGER) return Number.MAX_SAFE_INTEGER
  return value < Number.MIN_SAFE_INTEGER ? Number.MIN_SAFE_INTEGER : value
}

/** The upper 32 bits of a quantity, signed; the lower ones are what a 32-bit store of it keeps. */
export function upperHalf(value: number): number {
  return Math.floor(value / WORD)
}
