/**
 * What the operator asks `reserve` for, in the words that were typed: sizes, memory nodes, an address. Pure.
 * Must not: know where there is room.
 */
import type { MemoryNode } from '../linux/memory-nodes.ts'
import { UsageError } from '../values/errors.ts'
import { parseAddress, parseSize } from '../values/size.ts'
import type { PlaceRequest } from './reserve-place.ts'

export interface TypedRequest {
  /** `10G`, or one for each node: `10G,20G`. */
  readonly size: string
  /** `1`, `0,1` or `all`; undefined: one carve-out, in any. */
  readonly numa: string | undefined
  /** `16G` or `0x400000000`; undefined: wherever it is best. */
  readonly at: string | undefined
}

/** One for each carve-out. `nodes`: those of this machine. Throws UsageError. */
export function placesOf({ size, numa, at }: TypedRequest, nodes: readonly MemoryNode[]): PlaceRequest[] {
  const sizes = size.split(',').map((text) => parseSize(text, 'size'))
  const wanted = numa === undefined ? [undefined] : nodesOf(numa, nodes)
  if (sizes.length > 1 && sizes.length !== wanted.length)
    throw new UsageError(
      `--size has ${sizes.length} sizes, and --numa names ${numa === undefined ? 'no memory node' : `${wanted.length}`}: give one size for all, or one for each`,
    )
  if (at !== undefined && wanted.length > 1)
    throw new UsageError('--at is the address of one carve-out: plan one memory node at a time')
  return wanted.map((node, index) => ({
    sizeBytes: sizes[index] ?? (sizes[0] as number),
    node,
    at: at === undefined ? undefined : parseAddress(at, 'address'),
  }))
}

function nodesOf(text: string, nodes: readonly MemoryNode[]): number[] {
  if (text === 'all') {
    const withMemory = nodes.filter(({ ranges }) => ranges.length > 0).map(({ id }) => id)
    if (withMemory.length > 0) return withMemory
    throw new UsageError('--numa all: the memory nodes of this machine are not known')
  }
  const words = text.split(',')
  const wrong = words.find((word) => !/^\d{1,4}$/.test(word))
  if (wrong !== undefined) throw new UsageError(`memory node '${wrong}' is not a number`)
  const ids = words.map(Number)
  const twice = ids.find((id, index) => ids.indexOf(id) < index)
  if (twice !== undefined) throw new UsageError(`--numa names memory node ${twice} twice`)
  return ids
}
