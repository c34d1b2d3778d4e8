/**
 * Which physical memory belongs to which memory node (NUMA), set-aside memory included. Reads alone. sysfs
 * lists the blocks of ordinary RAM (drivers/base/node.c), device-dax the node of a carve-out, the firmware's
 * SRAT all of it; only root can read that.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { SystemCallError } from '../values/errors.ts'
import { type DaxRegion, rangeOfRegion, readDaxRegions, SYSFS } from './dax.ts'
import { mergeRanges, overlap, type PhysicalRange, rangeEnd, subtractRanges } from './memory-ranges.ts'
import { readIfReadable } from './readable-file.ts'
import { type NodeRange, parseSrat, SRAT_PATH } from './srat.ts'

export interface MemoryNode {
  readonly id: number
  /** Holes between them belong to no node. */
  readonly ranges: readonly PhysicalRange[]
}

/**
 * By id; empty where it is not known. `regions`: whose nodes the caller needs to know; undefined: of all that
 * there are.
 */
export function readMemoryNodes(sysfs: string = SYSFS, regions?: readonly DaxRegion[]): MemoryNode[] {
  const blocks = readBlocks(join(sysfs, 'devices/system'))
  const srat = readIfReadable(join(sysfs, SRAT_PATH))
  const ofRegions = (regions ?? readable(sysfs)).flatMap((region) => {
    const range = rangeOfRegion(region)
    return range === undefined || region.targetNode < 0 ? [] : [{ node: region.targetNode, range }]
  })
  const nodes = joinNodes(blocks, (srat && parseSrat(srat)) ?? [], ofRegions)
  return nodes.some(({ ranges }) => ranges.length > 0) ? nodes : []
}

/**
 * A node's ordinary RAM, block by block: some of what is inside a block may be no RAM. No blocks: the kernel
 * does not show them (CONFIG_MEMORY_HOTPLUG).
 */
interface NodeBlocks {
  readonly id: number
  readonly blocks: readonly PhysicalRange[]
}

/**
 * The table counts where it agrees with the kernel, which has other nodes than the firmware describes with
 * `numa=off` and `numa=fake=`. The regions and blocks count where the table has nothing.
 */
export function joinNodes(
  blocks: readonly NodeBlocks[],
  srat: readonly NodeRange[],
  regions: readonly NodeRange[],
): MemoryNode[] {
  const table = agrees(srat, blocks) ? srat : []
  const known = table.map(({ range }) => range)
  const shown = [
    ...blocks.flatMap(({ id, blocks: own }) => own.map((range) => ({ node: id, range }))),
    ...regions,
  ].flatMap(({ node, range }) => subtractRanges([range], known).map((rest) => ({ node, range: rest })))
  const all = [...table, ...shown]
  const ids = [...new Set([...blocks.map(({ id }) => id), ...all.map(({ node }) => node)])]
  return ids
    .toSorted((a, b) => a - b)
    .map((id) => ({ id, ranges: mergeRanges(all.flatMap(({ node, range }) => (node === id ? range : []))) }))
}

function agrees(srat: readonly NodeRange[], nodes: readonly NodeBlocks[]): boolean {
  if (nodes.every(({ blocks }) => blocks.length === 0))
    return srat.every(({ node }) => nodes.some(({ id }) => id === node))
  return nodes.every(({ id, blocks }) =>
    blocks.every((block) => srat.some(({ node, range }) => node === id && overlap(range, block))),
  )
}

/** Ids of the nodes that the kernel has, with memory or without. */
export const nodeIds = (sysfs: string = SYSFS): number[] =>
  numbered(join(sysfs, 'devices/system/node'), 'node')

/** Ids of the nodes that have memory of the range, ascending. */
export const nodeIdsOf = (nodes: readonly MemoryNode[], range: PhysicalRange): number[] =>
  nodes.filter(({ ranges }) => ranges.some((each) => overlap(each, range))).map(({ id }) => id)

/** The parts of the range whose node is known, ascending. Parts of one node that touch are one. */
export function nodeParts(nodes: readonly MemoryNode[], range: PhysicalRange): NodeRange[] {
  const parts = nodes.flatMap(({ id, ranges }) =>
    ranges.flatMap((each) => {
      const start = Math.max(each.start, range.start)
      const end = Math.min(rangeEnd(each), rangeEnd(range))
      return start < end ? [{ node: id, range: { start, lengthBytes: end - start } }] : []
    }),
  )
  return parts.toSorted((one, other) => one.range.start - other.range.start)
}

function readBlocks(system: string): NodeBlocks[] {
  const size = Number.parseInt(readIfReadable(join(system, 'memory/block_size_bytes'))?.toString() ?? '', 16)
  return numbered(join(system, 'node'), 'node').map((id) => {
    const blocks = Number.isNaN(size) ? [] : numbered(join(system, `node/node${id}`), 'memory')
    return { id, blocks: blocks.map((block) => ({ start: block * size, lengthBytes: size })) }
  })
}

function readable(sysfs: string): DaxRegion[] {
  try {
    return readDaxRegions(sysfs)
  } catch (error) {
    if (error instanceof SystemCallError) return [] // addresses are for root
    throw error
  }
}

/** The N of all entries `PREFIXN`, ascending; none where there is no such folder. */
function numbered(folder: string, prefix: string): number[] {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return []
  }
  const pattern = new RegExp(`^${prefix}(\\d+)$`)
  return names
    .flatMap((name) => pattern.exec(name)?.[1] ?? [])
    .map(Number)
    .toSorted((a, b) => a - b)
}
