/**
 * A size as QEMU reads it: `500M`, `1.5G`, `0x40000000`; without a suffix it is bytes. Source: QEMU
 * `util/cutils.c`, do_strtosz.
 */

const SHIFT: Readonly<Record<string, number>> = { '': 0, b: 0, k: 10, m: 20, g: 30, t: 40, p: 50, e: 60 }
const DECIMAL = /^(\d+(?:\.\d*)?|\.\d+)([bkmgtpe]?)$/i
const HEXADECIMAL = /^0x[0-9a-f]+$/i

/** Bytes, or undefined for what QEMU would not read as a size either. */
export function parseQemuSize(text: string): number | undefined {
  if (HEXADECIMAL.test(text)) return Number(text)
  const [, digits, suffix] = DECIMAL.exec(text) ?? []
  if (digits === undefined || suffix === undefined) return undefined
  const bytes = Number(digits) * 2 ** (SHIFT[suffix.toLowerCase()] as number)
  return Number.isSafeInteger(Math.trunc(bytes)) ? Math.trunc(bytes) : undefined
}
