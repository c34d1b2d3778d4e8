/**
 * The images that a guest's disks and drives have now, as arguments of its next QEMU's command line: an
 * overlay that was taken while it ran, one that was committed, another medium. The trial shows whether the
 * next QEMU then has the same block graph (`machine-facts.ts`).
 */
import {
  type Argument,
  append,
  argumentById,
  argumentsOf,
  type Change,
  type CommandLine,
  idOf,
  jsonOf,
  pairsOf,
  setKeys,
  withoutArguments,
  withoutKeys,
} from '../command-line.ts'
import { isCounted } from '../machine/reading.ts'
import { type OptionString, optionValue } from '../option-string.ts'
import type { BlockGraph, BlockNode, Drive } from './block-graph.ts'
import { CannotCarry } from './change.ts'

/** Drivers that need a path and nothing else. */
const FILES = ['file', 'host_device', 'host_cdrom']
/** Names that this process gives to nodes without a name of a person's. */
const NAME = 'guestmemfs-node-'
/** Options that QEMU does not report: taken from the node that the line had before. */
const HIDDEN = ['discard', 'aio', 'locking']

/** Errors: CannotCarry. */
export function carryDisks(line: CommandLine, graph: BlockGraph): CommandLine {
  const names = nodeNames(line, graph)
  const nodes = addNodes(dropNodes(line, graph), graph, names)
  return graph.drives.reduce((all, drive) => carryDrive(all, graph, drive, names), nodes)
}

const nodeNameOf = (argument: Argument): string | undefined => optionValue(pairsOf(argument), 'node-name')

/** The name in the next line of each node that gets one. */
function nodeNames(line: CommandLine, { nodes, drives }: BlockGraph): ReadonlyMap<string, string> {
  const taken = new Set([...nodes.keys(), ...argumentsOf(line, 'blockdev').map(nodeNameOf)])
  let count = 0
  const free = (): string => {
    while (taken.has(`${NAME}${count}`)) count++
    return `${NAME}${count++}`
  }
  const counted = drives.flatMap(({ backend, node }) =>
    backend === '' && node !== undefined && isCounted(node) ? [[node, free()] as const] : [],
  )
  return new Map([
    ...[...nodes.keys()].filter((name) => !isCounted(name)).map((name) => [name, name] as const),
    ...counted,
  ])
}

/** Removes nodes that are gone, and drives that were unplugged with their device. */
function dropNodes(line: CommandLine, { nodes, drives }: BlockGraph): CommandLine {
  const isGone = (argument: Argument): boolean => {
    const name = nodeNameOf(argument)
    if (argument.option === 'blockdev') return name !== undefined && !nodes.has(name)
    const id = idOf(argument)
    if (id === undefined || optionValue(pairsOf(argument), 'if') !== 'none') return false
    return !drives.some(({ backend }) => backend === id)
  }
  return withoutArguments(line, argumentsOf(line, 'blockdev', 'drive').filter(isGone))
}

/**
 * Adds the nodes that the line does not have, each after its children, and sets `read-only` where it differs.
 */
function addNodes(line: CommandLine, graph: BlockGraph, names: ReadonlyMap<string, string>): CommandLine {
  const said = namesIn(line)
  const seen = new Set<string>()
  const inlined = new Set<string>()
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
    if (node === undefined || seen.has(name) || (called !== undefined && said.has(called))) return
    seen.add(name)
    for (const child of node.children.values()) add(child)
    if (called === undefined) return
    const words = { graph, names, hidden: hiddenOf(line, graph, node), inlined }
    all = append(all, 'blockdev', JSON.stringify(nodeWords(node, words)))
  }
  // A `-drive` opens the nodes below it by itself.
  for (const { backend, node } of graph.drives) if (backend !== '' && node !== undefined) pass(node)
  for (const name of names.keys()) add(name)
  return argumentsOf(all, 'blockdev').reduce((next, argument) => {
    const node = graph.nodes.get(nodeNameOf(argument) ?? '')
    if (node === undefined) return next
    const isReadOnly = optionValue(pairsOf(argument), 'read-only') === 'on'
    const isAuto = optionValue(pairsOf(argument), 'auto-read-only') === 'on'
    if (isReadOnly === node.isReadOnly || isAuto) return next
    return setKeys(next, argument, [['read-only', node.isReadOnly ? 'on' : 'off', node.isReadOnly]])
  }, all)
}

/** Nodes that the line names, some within another node (`file.node-name=`) or in a `-drive`. */
const namesIn = (line: CommandLine): Set<string> =>
  new Set(
    argumentsOf(line, 'blockdev', 'drive').flatMap((argument) => {
      const text = argument.value ?? ''
      return [...text.matchAll(/node-name"?[=:]"?([^",]+)/g)].flatMap(([, name]) => name ?? [])
    }),
  )

interface NodeWords {
  readonly graph: BlockGraph
  readonly names: ReadonlyMap<string, string>
  readonly hidden: Readonly<Record<string, unknown>>
  /** Nodes without a name, written within their parent: only one parent can have each. */
  readonly inlined: Set<string>
}

/** As `-blockdev` takes it. Errors: CannotCarry. */
function nodeWords(node: BlockNode, context: NodeWords): Record<string, unknown> {
  const { graph, names, hidden, inlined } = context
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
    if (known !== undefined) return [role, known]
    if (next === undefined || inlined.has(child))
      throw new CannotCarry(`image ${file} stands on a node that has no name, and that others stand on`)
    inlined.add(child)
    return [role, nodeWords(next, context)]
  })
  if (!children.has('file')) throw new CannotCarry(`image ${file} (${driver}) is no file`)
  const { discard } = hidden
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
function hiddenOf(line: CommandLine, graph: BlockGraph, node: BlockNode): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  for (const name of [...below(graph, node)].reverse()) {
    const argument = argumentsOf(line, 'blockdev').find((candidate) => nodeNameOf(candidate) === name)
    for (const { key, value } of argument === undefined ? [] : flatPairs(argument))
      for (const hidden of HIDDEN) if (key === hidden || key === `file.${hidden}`) found[hidden] = value
  }
  return found
}

/** Pairs with the keys below `file` of JSON spelled `file.KEY`. */
function flatPairs(argument: Argument): OptionString {
  const { file } = jsonOf(argument.value ?? '') ?? {}
  if (typeof file !== 'object' || file === null) return pairsOf(argument)
  const inner = Object.entries(file).map(([key, value]) => ({ key: `file.${key}`, value: String(value) }))
  return [...pairsOf(argument), ...inner]
}

function below(graph: BlockGraph, node: BlockNode, seen = new Set<string>()): Set<string> {
  for (const child of node.children.values()) {
    const next = graph.nodes.get(child)
    if (next === undefined || seen.has(child)) continue
    seen.add(child)
    below(graph, next, seen)
  }
  return seen
}

function carryDrive(
  line: CommandLine,
  graph: BlockGraph,
  { backend, device, node }: Drive,
  names: ReadonlyMap<string, string>,
): CommandLine {
  const top = node === undefined ? undefined : (graph.nodes.get(node) as BlockNode)
  if (backend !== '') {
    const drive = argumentById(line, 'drive', backend)
    return drive === undefined ? line : carryBackend(line, drive, graph, top)
  }
  if (device === undefined) return line
  const argument = argumentById(line, 'device', device)
  if (argument === undefined) return line
  if (top === undefined) return withoutKeys(line, argument, ['drive'])
  const called = names.get(top.name) as string
  return optionValue(pairsOf(argument), 'drive') === called
    ? line
    : setKeys(line, argument, [['drive', called]])
}

/** For `-drive id=`: the option names the top image's file, and QEMU finds the images below it. */
function carryBackend(
  line: CommandLine,
  drive: Argument,
  graph: BlockGraph,
  top: BlockNode | undefined,
): CommandLine {
  if (top === undefined) return withoutKeys(line, drive, ['file', 'format', 'driver', 'node-name'])
  const protocol = graph.nodes.get(top.children.get('file') ?? '')
  const pairs = pairsOf(drive)
  if (optionValue(pairs, 'file.filename') !== undefined)
    throw new CannotCarry(`drive ${idOf(drive)} names its file by file.filename=: use file=`)
  const [was, format] = [
    optionValue(pairs, 'file'),
    optionValue(pairs, 'format') ?? optionValue(pairs, 'driver'),
  ]
  if (was === top.file && (format === undefined || format === top.driver)) return line
  if (protocol === undefined || !FILES.includes(protocol.driver) || top.file.startsWith('json:'))
    throw new CannotCarry(`drive ${idOf(drive)} is on ${top.file}, which is no file`)
  const changes: Change[] = [
    ['file', top.file],
    ['format', top.driver],
  ]
  if (!isCounted(top.name)) changes.push(['node-name', top.name])
  const cleared = withoutKeys(line, drive, ['driver', ...(isCounted(top.name) ? ['node-name'] : [])])
  const now = cleared.arguments[line.arguments.indexOf(drive)] as Argument
  return setKeys(cleared, now, changes)
}
