/**
 * What a QEMU command line asks of the host's memory nodes (NUMA), and where the RAM is. QEMU passes `policy`
 * and `host-nodes` of a memory backend to mbind(2) (backends/hostmem.c). For a memfd that chooses the node of
 * each page that is still to come. Memory of a region is where it is: there they are compared with its nodes,
 * and left out of QEMU's line, as the kernel has no use for them and refuses a node that has no memory of its
 * own left.
 */
import { UsageError } from '../values/errors.ts'
import {
  argumentsOf,
  type CommandLine,
  idOf,
  pairsOf,
  parseCommandLine,
  withoutKeys,
} from './command-line.ts'
import type { RamFile } from './memory-backends.ts'
import { optionValue } from './option-string.ts'
import { type RamMap, readRamMap } from './ram-file.ts'

export interface AskedNodes {
  /** The memory backend's. */
  readonly id: string
  /** `bind`, `preferred` or `interleave`. */
  readonly policy: string
  /** Ascending, at least one. */
  readonly nodes: readonly number[]
}

/** Of each memory backend that asks for nodes. What QEMU refuses by itself is left out. */
export function askedNodes(line: CommandLine): AskedNodes[] {
  return argumentsOf(line, 'object').flatMap((argument) => {
    const pairs = pairsOf(argument)
    const values = pairs.flatMap(({ key, value = '' }) => (key === 'host-nodes' ? value.split(',') : []))
    const nodes = [...new Set(values.flatMap(numbersOf))].toSorted((a, b) => a - b)
    const policy = optionValue(pairs, 'policy') ?? 'default'
    return nodes.length === 0 || policy === 'default' ? [] : [{ id: idOf(argument) ?? '', policy, nodes }]
  })
}

/** `3` or `0-3`, as QEMU reads a list (qapi/opts-visitor.c). */
function numbersOf(text: string): number[] {
  const [, first, last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(text) ?? []
  if (first === undefined) return []
  return Array.from({ length: Math.max(0, Number(last) - Number(first) + 1) }, (_, at) => Number(first) + at)
}

/** The line without what it asks for this backend. */
export function withoutNodes(line: CommandLine, id: string): CommandLine {
  const argument = argumentsOf(line, 'object').find((each) => idOf(each) === id)
  const asks = argument && pairsOf(argument).some(({ key }) => key === 'host-nodes')
  return asks ? withoutKeys(line, argument, ['host-nodes', 'policy']) : line
}

/** RAM that is not where the line asks it to be. */
export interface Misplaced {
  readonly path: string
  readonly asked: AskedNodes
  /** Where it is. */
  readonly nodes: readonly number[]
}

/** Of a definition, or of the line of a next QEMU. */
interface Placed {
  readonly argv: readonly string[]
  /** Of a guest of another VMM; left out for QEMU. */
  readonly vmm?: object | undefined
  readonly ramFiles: readonly Pick<RamFile, 'id' | 'path'>[]
}

/** None of a guest of another VMM: its line has no words of QEMU's. */
export const nodesAskedBy = ({ argv, vmm }: Pick<Placed, 'argv' | 'vmm'>): AskedNodes[] =>
  vmm === undefined ? askedNodes(parseCommandLine(argv)) : []

/**
 * RAM files of regions that have memory of another node than is asked for, or that are not spread over all
 * nodes that `interleave` asks for. Errors (UsageError): a file is gone. `mapOf` is for tests.
 */
export function misplacedRam(definition: Placed, mapOf: (path: string) => RamMap = readRamMap): Misplaced[] {
  const asked = nodesAskedBy(definition)
  return definition.ramFiles.flatMap(({ id, path }) => {
    const mine = asked.find((each) => each.id === id)
    const { nodes = [] } = mine === undefined ? {} : mapOf(path)
    return mine === undefined || nodes.length === 0 || isAsAsked(mine, nodes)
      ? []
      : { path, asked: mine, nodes }
  })
}

function isAsAsked({ policy, nodes: asked }: AskedNodes, nodes: readonly number[]): boolean {
  const isInside = nodes.every((node) => asked.includes(node))
  return isInside && (policy !== 'interleave' || asked.every((node) => nodes.includes(node)))
}

/** One line. */
export function describeMisplaced({ path, asked: { id, policy, nodes: asked }, nodes }: Misplaced): string {
  const [is, wanted] = [nodes, asked].map((each) => `memory node ${each.join(', ')}`)
  return `memory backend '${id}' on ${path} asks for ${wanted} (policy=${policy}), and lies in ${is}`
}

/**
 * What `run` says of it. Errors (UsageError): with `policy=bind` QEMU would refuse other memory, too, that it
 * cannot have of these nodes.
 */
export function nodeNotes(definition: Placed): string[] {
  const misplaced = misplacedRam(definition)
  const bound = misplaced.find(({ asked: { policy } }) => policy === 'bind')
  if (bound !== undefined)
    throw new UsageError(
      `${describeMisplaced(bound)}: take a file of a pool in that node ('guestmemfs list' shows which), or another host-nodes=`,
    )
  return misplaced.map(describeMisplaced)
}

/** The same for a guest that runs, which is not refused for it: none where a file cannot be read. */
export function nodeRemarks(definition: Placed): string[] {
  try {
    return misplacedRam(definition).map(describeMisplaced)
  } catch (error) {
    if (error instanceof UsageError) return []
    throw error
  }
}

/**
 * Memory backends for which QEMU passes nodes to the kernel: all but those of regions. Errors: UsageError.
 */
export function nodesForKernel(
  definition: Placed,
  mapOf: (path: string) => RamMap = readRamMap,
): AskedNodes[] {
  return nodesAskedBy(definition).filter(({ id }) => {
    const file = definition.ramFiles.find((each) => each.id === id)
    return file === undefined || !isFixed(mapOf(file.path))
  })
}

/** Its memory is of a region. */
export const isFixed = ({ by }: RamMap): boolean => by === 'dax-node' || by === 'devmem'
