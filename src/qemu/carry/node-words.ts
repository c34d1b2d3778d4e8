/**
 * A block node of the graph as `-blockdev` takes it, with the nodes below it that have no argument of their
 * own.
 */
import { type Argument, argumentsOf, type CommandLine, jsonOf, pairsOf } from '../command-line.ts'
import { type OptionString, optionValue } from '../option-string.ts'
import type { BlockGraph, BlockNode } from './block-graph.ts'
import { CannotCarry } from './change.ts'

/** Drivers that need a path and nothing else. */
export const FILES = ['file', 'host_device', 'host_cdrom']
/** Options that QEMU does not report: taken from the node that the line had before. */
export const HIDDEN = ['discard', 'aio', 'locking']

export interface NodeWords {
  readonly graph: BlockGraph
  /** The name in the next line of each node that gets one. */
  readonly names: ReadonlyMap<string, string>
  /** Nodes with a name that are written within the one above them, and nowhere else. */
  readonly inner: ReadonlySet<string>
  /** Nodes that are written within another: only one parent can have each. */
  readonly inlined: Set<string>
  readonly hiddenOf: (node: BlockNode) => Readonly<Record<string, unknown>>
}

/** Errors: CannotCarry. */
export function nodeWords(
  node: BlockNode,
  context: NodeWords,
  hidden = context.hiddenOf(node),
): Record<string, unknown> {
  const { graph, names, inner, inlined } = context
  const { name, driver, file, isReadOnly, detectZeroes, cache, children } = node
  const called = names.get(name)
  const common = {
    driver,
    ...(called === undefined ? {} : { 'node-name': called }),
    'read-only': isReadOnly,
    cache,
    ...(detectZeroes === 'off' ? {} : { 'detect-zeroes': detectZeroes }),
  }
  if (FILES.includes(driver)) {
    if (file.startsWith('json:')) throw new CannotCarry(`image ${file} is more than a file`)
    return { ...common, ...hidden, filename: file }
  }
  const below = [...children].map(([role, child]) => {
    const known = names.get(child)
    const next = graph.nodes.get(child)
    if (known !== undefined && !(inner.has(child) && !inlined.has(child))) return [role, known]
    if (next === undefined || inlined.has(child))
      throw new CannotCarry(`image ${file} has a child node without a name that other nodes have as well`)
    inlined.add(child)
    return [role, nodeWords(next, context, inner.has(child) ? undefined : hidden)]
  })
  if (!children.has('file')) throw new CannotCarry(`image ${file} (${driver}) is no file`)
  // Within another node QEMU would take 'unmap' (bdrv_inherited_options, block.c).
  const discard = hidden.discard ?? (inner.has(name) ? 'ignore' : undefined)
  // Else QEMU would open the backing file that the image's header names.
  const backing = driver === 'qcow2' && !children.has('backing') ? { backing: null } : {}
  return {
    ...common,
    ...(discard === undefined ? {} : { discard }),
    ...backing,
    ...Object.fromEntries(below),
  }
}

/** As the line gives them for a node below, on which the disk was when QEMU started. */
export function hiddenOf(line: CommandLine, graph: BlockGraph, node: BlockNode): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  for (const name of [...nodesBelow(graph, node)].reverse()) {
    const argument = argumentsOf(line, 'blockdev').find((candidate) => nodeNameOf(candidate) === name)
    for (const { key, value } of argument === undefined ? [] : flatPairs(argument))
      for (const hidden of HIDDEN) if (key === hidden || key === `file.${hidden}`) found[hidden] = value
  }
  return found
}

export const nodeNameOf = (argument: Argument): string | undefined =>
  optionValue(pairsOf(argument), 'node-name')

/** Pairs with the keys below `file` of JSON spelled `file.KEY`. */
function flatPairs(argument: Argument): OptionString {
  const { file } = jsonOf(argument.value ?? '') ?? {}
  if (typeof file !== 'object' || file === null) return pairsOf(argument)
  const inner = Object.entries(file).map(([key, value]) => ({ key: `file.${key}`, value: String(value) }))
  return [...pairsOf(argument), ...inner]
}

/** Names, without the node's own. */
export function nodesBelow(graph: BlockGraph, node: BlockNode, seen = new Set<string>()): Set<string> {
  for (const child of node.children.values()) {
    const next = graph.nodes.get(child)
    if (next === undefined || seen.has(child)) continue
    seen.add(child)
    nodesBelow(graph, next, seen)
  }
  return seen
}
