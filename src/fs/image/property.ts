/**
 * What an inode can have besides its fields: its properties, by number, and what the bytes of each mean.
 * Must not: act on them.
 *
 * A version that does not implement a property keeps it unchanged, as long as the inode exists, where the
 * number is odd. Where the number is even, it refuses the image. So later properties need no other format
 * version.
 */
import { CorruptBytesError } from '../../values/errors.ts'
import { ByteSink } from './byte-sink.ts'
import { ByteSource } from './byte-source.ts'

/** Numbers are part of the format: never renumber, only add. */
const NUMBER = { poisoned: 1, mark: 2, nodes: 3, size: 4 } as const

/** `consumed`: a QEMU has loaded this saved state and run from it, so none may load it again. */
const MARKS = ['consumed'] as const
export type Mark = (typeof MARKS)[number]

/** Bytes of a file. `length` is never 0. */
export interface ByteRange {
  readonly offset: number
  readonly length: number
}

export type Property =
  /** Of a file: what the hardware lost of its memory, ascending, not touching one another. */
  | { readonly is: 'poisoned'; readonly ranges: readonly ByteRange[] }
  /** Of a file that holds a saved state. */
  | { readonly is: 'mark'; readonly mark: Mark }
  /** Of a directory: the NUMA nodes that the memory of files made in it comes from, ascending. */
  | { readonly is: 'nodes'; readonly nodes: readonly number[] }
  /** Of the root directory: the number of blocks that the pool has now, where it was made with another. */
  | { readonly is: 'size'; readonly totalBlocks: number }

/** The fields of the entry that states `property`. */
export function encodeProperty(property: Property): { number: number; value: Uint8Array } {
  const out = new ByteSink()
  switch (property.is) {
    case 'poisoned': {
      let end = 0
      for (const { offset, length } of property.ranges) {
        out.varint(offset - end)
        out.varint(length)
        end = offset + length
      }
      break
    }
    case 'mark':
      out.u8(MARKS.indexOf(property.mark))
      break
    case 'nodes':
      for (const node of property.nodes) out.varint(node)
      break
    case 'size':
      out.varint(property.totalBlocks)
      break
    default:
      property satisfies never
  }
  return { number: NUMBER[property.is], value: new Uint8Array(out.view()) }
}

/**
 * undefined: one that this code does not implement, and keeps. Throws `CorruptBytesError` for a value that is
 * none, and for one that it may not ignore.
 */
export function decodeProperty(number: number, value: Uint8Array): Property | undefined {
  const from = new ByteSource(value)
  switch (number) {
    case NUMBER.poisoned:
      return { is: 'poisoned', ranges: decodeRanges(from) }
    case NUMBER.mark: {
      const mark = MARKS[from.u8()]
      if (mark === undefined || !from.exhausted) throw new CorruptBytesError('a mark has an unknown number')
      return { is: 'mark', mark }
    }
    case NUMBER.nodes:
      return { is: 'nodes', nodes: decodeNodes(from) }
    case NUMBER.size: {
      const totalBlocks = from.varint()
      if (totalBlocks < 1 || !from.exhausted) throw new CorruptBytesError('the size of the pool is none')
      return { is: 'size', totalBlocks }
    }
    default:
      if (number % 2 === 1) return undefined
      throw new CorruptBytesError(
        `the image has property ${number}, which this guestmemfs does not implement and may not ignore: use the release that wrote it`,
      )
  }
}

/** Each range is its distance from the end of the one before, and its length. */
function decodeRanges(from: ByteSource): ByteRange[] {
  const ranges: ByteRange[] = []
  for (let end = 0; !from.exhausted; ) {
    const distance = from.varint()
    const length = from.varint()
    const offset = end + distance
    end = offset + length
    if (length === 0 || (distance === 0 && ranges.length > 0) || !Number.isSafeInteger(end))
      throw new CorruptBytesError('ranges of bytes are empty, touch one another, or end beyond 53 bits')
    ranges.push({ offset, length })
  }
  return ranges
}

function decodeNodes(from: ByteSource): number[] {
  const nodes: number[] = []
  while (!from.exhausted) {
    const node = from.varint()
    if (node <= (nodes.at(-1) ?? -1)) throw new CorruptBytesError('NUMA nodes do not ascend')
    nodes.push(node)
  }
  return nodes
}
