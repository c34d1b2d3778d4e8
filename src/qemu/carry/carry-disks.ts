/**
 * The images that a guest's disks and drives have now, as arguments of its next QEMU's command line: an
 * overlay that was taken while it ran, one that was committed, another medium. The trial shows whether the
 * next QEMU then has the same block graph (`machine-facts.ts`).
 */
import {
  type Argument,
  append,
  argumentsOf,
  type CommandLine,
  pairsOf,
  setKeys,
  withoutArguments,
} from '../command-line.ts'
import { isCounted, isOpener, OPENER } from '../machine/node-names.ts'
import { optionValue } from '../option-string.ts'
import type { BlockGraph, BlockNode } from './block-graph.ts'
import { carryDrive } from './carry-drives.ts'
import { driveArguments } from './drive-names.ts'
import { HIDDEN, hiddenOf, type NodeWords, nodeNameOf, nodesBelow, nodeWords } from './node-words.ts'

/** Names that this process gives to nodes which the operator has not named. */
const NAME = 'guestmemfs-node-'

export interface CarriedDisks {
  readonly line: CommandLine
  /** What QEMU does not report of the images that were added, one line each. */
  readonly notes: readonly string[]
}

/** Errors: CannotCarry. */
export function carryDisks(line: CommandLine, whole: BlockGraph): CarriedDisks {
  // An opener is left only where QEMU did not delete it: the next line has its own.
  const graph = { ...whole, nodes: new Map([...whole.nodes].filter(([name]) => !isOpener(name))) }
  const names = nodeNames(line, graph)
  const added = addNodes(dropNodes(line, graph), graph, names)
  return {
    line: graph.drives.reduce((all, drive) => carryDrive(all, graph, drive, names), added.line),
    notes: added.notes,
  }
}

function unreported(file: string, hidden: Readonly<Record<string, unknown>>): string {
  const options = HIDDEN.filter((option) => hidden[option] === undefined).map((option) => `${option}=`)
  return `image ${file} was plugged: QEMU does not report ${options.join(', ')}, and its next QEMU has the defaults`
}

/** Names of which the line and the graph have none yet. */
function freeNames(line: CommandLine, { nodes }: BlockGraph, prefix: string): () => string {
  const taken = new Set([...nodes.keys(), ...argumentsOf(line, 'blockdev').map(nodeNameOf)])
  let count = 0
  return () => {
    while (taken.has(`${prefix}${count}`)) count++
    return `${prefix}${count++}`
  }
}

/** The name in the next line of each node that gets one. */
function nodeNames(line: CommandLine, graph: BlockGraph): ReadonlyMap<string, string> {
  const { nodes, drives } = graph
  const free = freeNames(line, graph, NAME)
  const counted = drives.flatMap(({ backend, node }) =>
    backend === '' && node !== undefined && isCounted(node) ? [[node, free()] as const] : [],
  )
  return new Map([
    ...[...nodes.keys()].filter((name) => !isCounted(name)).map((name) => [name, name] as const),
    ...counted,
  ])
}

/** Removes nodes that are gone, openers among them, and drives that were unplugged with their device. */
function dropNodes(line: CommandLine, { nodes, drives }: BlockGraph): CommandLine {
  const { own } = driveArguments(line)
  const gone = [...own].filter(
    ([name, drive]) =>
      optionValue(pairsOf(drive), 'if') === 'none' && !drives.some(({ backend }) => backend === name),
  )
  const isGone = (argument: Argument): boolean => {
    const name = nodeNameOf(argument)
    return name !== undefined && !nodes.has(name)
  }
  return withoutArguments(line, [
    ...argumentsOf(line, 'blockdev').filter(isGone),
    ...gone.map(([, drive]) => drive),
  ])
}

/**
 * Adds the nodes that the line does not have, each after its children, and sets `read-only` where it differs.
 */
function addNodes(line: CommandLine, graph: BlockGraph, names: ReadonlyMap<string, string>): CarriedDisks {
  const named = namesIn(line)
  const seen = new Set<string>()
  const notes = new Set<string>()
  const context: NodeWords = {
    ...{ graph, names, inner: overlaysInOpeners(graph, named), inlined: new Set() },
    hiddenOf: (node) => {
      const hidden = hiddenOf(line, graph, node)
      // An overlay has them of the image below it.
      if ([...nodesBelow(graph, node)].every((name) => !named.has(name)))
        notes.add(unreported(node.file, hidden))
      return hidden
    },
  }
  let all = line
  const pass = (name: string): void => {
    const node = graph.nodes.get(name)
    if (node === undefined || seen.has(name)) return
    seen.add(name)
    for (const child of node.children.values()) pass(child)
  }
  const add = (name: string): void => {
    const called = names.get(name)
    const node = graph.nodes.get(name)
    if (node === undefined || seen.has(name) || (called !== undefined && named.has(called))) return
    seen.add(name)
    for (const child of node.children.values()) add(child)
    if (called === undefined || context.inner.has(name)) return
    all = append(all, 'blockdev', JSON.stringify(nodeWords(node, context)))
  }
  // A `-drive` opens the nodes below it by itself.
  for (const { backend, node } of graph.drives) if (backend !== '' && node !== undefined) pass(node)
  for (const name of names.keys()) add(name)
  const free = freeNames(line, graph, OPENER)
  for (const { node = '' } of graph.drives) {
    const top = graph.nodes.get(node)
    if (top === undefined || !context.inner.has(node) || context.inlined.has(node)) continue
    context.inlined.add(node)
    const file = nodeWords(top, context)
    all = append(
      all,
      'blockdev',
      JSON.stringify({ driver: 'raw', 'node-name': free(), 'read-only': true, file }),
    )
  }
  return { line: withReadOnly(all, graph), notes: [...notes] }
}

const withReadOnly = (line: CommandLine, { nodes }: BlockGraph): CommandLine =>
  argumentsOf(line, 'blockdev').reduce((next, argument) => {
    const node = nodes.get(nodeNameOf(argument) ?? '')
    if (node === undefined) return next
    const isReadOnly = optionValue(pairsOf(argument), 'read-only') === 'on'
    const isAuto = optionValue(pairsOf(argument), 'auto-read-only') === 'on'
    if (isReadOnly === node.isReadOnly || isAuto) return next
    return setKeys(next, argument, [['read-only', node.isReadOnly ? 'on' : 'off', node.isReadOnly]])
  }, line)

/**
 * Overlays that a device uses and that `blockdev-snapshot-sync` took, from the top of each disk down: they
 * are on an image with a name, and their file's node has none. QEMU does not report by which command a node
 * was made: one of `blockdev-add` whose file has no name either is taken for such a one as well, and ends
 * with its commit.
 */
function overlaysInOpeners(graph: BlockGraph, named: ReadonlySet<string>): Set<string> {
  const found = new Set<string>()
  const isTaken = (node: BlockNode): boolean => {
    const file = node.children.get('file') ?? ''
    if (named.has(node.name) || !isCounted(file) || !node.children.has('backing')) return false
    return backingOf(graph, node).some(({ name }) => !isCounted(name))
  }
  for (const { backend, node } of graph.drives) {
    let next = backend === '' ? graph.nodes.get(node ?? '') : undefined
    while (next !== undefined && !found.has(next.name) && isTaken(next)) {
      found.add(next.name)
      next = graph.nodes.get(next.children.get('backing') as string)
    }
  }
  return found
}

function backingOf(graph: BlockGraph, top: BlockNode): BlockNode[] {
  const chain = new Set<BlockNode>()
  let next = graph.nodes.get(top.children.get('backing') ?? '')
  while (next !== undefined && !chain.has(next)) {
    chain.add(next)
    next = graph.nodes.get(next.children.get('backing') ?? '')
  }
  return [...chain]
}

/** Nodes that the line names, some within another node (`file.node-name=`) or in a `-drive`. */
const namesIn = (line: CommandLine): Set<string> =>
  new Set(
    argumentsOf(line, 'blockdev', 'drive').flatMap((argument) => {
      const text = argument.value ?? ''
      return [...text.matchAll(/node-name"?[=:]"?([^",]+)/g)].flatMap(([, name]) => name ?? [])
    }),
  )
