/** Sizes as operators read and write them: binary units as `10G`, `1.5G`, `512M`; bytes as plain integers. */
import { UsageError } from './errors.ts'
import { GIB, KIB, MIB } from './units.ts'

const UNIT: Readonly<Record<string, number>> = { '': 1, K: KIB, M: MIB, G: GIB, T: KIB * GIB }
/** Exact as a number: an address has 52 bits at most. */
const HEXADECIMAL = /^0x[0-9a-f]{1,13}$/i
const PATTERN = /^(\d{1,15})(\.\d{1,3}(?=\s*[KMGT]))?\s*([KMGT]?)(?:i?B)?$/i

/** Whole bytes. `what` names the value in the error. Errors: UsageError. */
export function parseSize(text: string, what: string): number {
  const [, digits, decimals = '', unit = ''] = PATTERN.exec(text.trim()) ?? []
  const bytes = Math.round(Number(`${digits}${decimals}`) * (UNIT[unit.toUpperCase()] ?? Number.NaN))
  if (!Number.isSafeInteger(bytes))
    throw new UsageError(`${what} '${text}' is not a size: write it as 512M or 10G, or in bytes`)
  return bytes
}

/** A physical address, in hexadecimal digits (`0x400000000`) or as a size (`16G`). Errors: UsageError. */
export const parseAddress = (text: string, what: string): number =>
  HEXADECIMAL.test(text) ? Number(text) : parseSize(text, what)

/**
 * Exact where two decimals of a unit of at least 1 M do it: 10G, 1.5G, 500M; else rounded: 23.5G, 48K, 512B.
 */
export function formatSize(bytes: number): string {
  const inUnit = (unit: string): number => bytes / (UNIT[unit] as number)
  const exact = ['T', 'G', 'M'].find((unit) => inUnit(unit) >= 1 && Number.isInteger(inUnit(unit) * 100))
  if (exact !== undefined) return `${inUnit(exact)}${exact}`
  const largest = ['T', 'G', 'M', 'K'].find((unit) => inUnit(unit) >= 1)
  return largest === undefined ? `${bytes}B` : `${Math.round(inUnit(largest) * 10) / 10}${largest}`
}
