/**
 * Damages a carve-out on purpose, and undoes it: `flip.ts OFFSET` inverts one bit of the byte at OFFSET of
 * the region, `flip.ts metadata+OFFSET` of its metadata area. A second run undoes the first. Through the
 * device that covers the byte.
 */
import { changeBytes } from './bytes.ts'

const [, area, digits] = /^(metadata\+)?(\d+)$/.exec(process.argv[2] ?? '') ?? []
if (digits === undefined) throw new Error('say which byte: OFFSET, or metadata+OFFSET')

changeBytes(
  ({ range, metadata }) => (area === undefined ? range : metadata).start + Number(digits),
  1,
  (bytes) => bytes.map((value) => value ^ 0x10),
)
