/**
 * The media and images of `-drive` and its short forms, and of devices, as arguments of the next QEMU's line.
 */
import {
  type Argument,
  argumentById,
  type CommandLine,
  type KeyValue,
  pairsOf,
  setKeys,
  withoutKeys,
} from '../command-line.ts'
import { isCounted } from '../machine/node-names.ts'
import { optionValue } from '../option-string.ts'
import type { BlockGraph, BlockNode, Drive } from './block-graph.ts'
import { CannotCarry } from './change.ts'
import { asDrive, driveArguments } from './drive-names.ts'
import { FILES } from './node-words.ts'

/** `names`: of the nodes that have one in the next line. Errors: CannotCarry. */
export function carryDrive(
  line: CommandLine,
  graph: BlockGraph,
  { backend, device, node }: Drive,
  names: ReadonlyMap<string, string>,
): CommandLine {
  const top = node === undefined ? undefined : (graph.nodes.get(node) as BlockNode)
  if (backend !== '') {
    const { own, byDefault } = driveArguments(line)
    const argument = own.get(backend)
    if (argument !== undefined) return carryBackend(line, { argument, backend }, graph, top)
    const added = byDefault.get(backend)
    if (added === undefined || top === undefined) return line
    const longer = { ...line, arguments: [...line.arguments, added] }
    return carryBackend(longer, { argument: added, backend }, graph, top)
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

interface Backend {
  readonly argument: Argument
  /** Its name in QEMU. */
  readonly backend: string
}

/** The option names the top image's file, and QEMU finds the images below it. */
function carryBackend(
  line: CommandLine,
  { argument, backend }: Backend,
  graph: BlockGraph,
  top: BlockNode | undefined,
): CommandLine {
  const drive = asDrive(argument)
  const pairs = pairsOf(drive)
  const [was, format] = [
    optionValue(pairs, 'file') ?? optionValue(pairs, 'file.filename'),
    optionValue(pairs, 'format') ?? optionValue(pairs, 'driver'),
  ]
  const long = replace(line, argument, drive)
  if (top === undefined)
    return was === undefined ? line : withoutKeys(long, drive, ['file', 'format', 'driver', 'node-name'])
  if (was === top.file && (format ?? top.driver) === top.driver) return line
  const protocol = graph.nodes.get(top.children.get('file') ?? '')
  // The line may have it all the same. If not, the trial's QEMU differs.
  if (protocol === undefined || !FILES.includes(protocol.driver) || top.file.startsWith('json:')) return line
  if (optionValue(pairs, 'file.filename') !== undefined)
    throw new CannotCarry(`drive ${backend} names its file by file.filename=: use file=`)
  const changes: KeyValue[] = [
    ['file', top.file],
    ['format', top.driver],
  ]
  if (!isCounted(top.name)) changes.push(['node-name', top.name])
  const cleared = withoutKeys(long, drive, ['driver', ...(isCounted(top.name) ? ['node-name'] : [])])
  const now = cleared.arguments[long.arguments.indexOf(drive)] as Argument
  return setKeys(cleared, now, changes)
}

const replace = (line: CommandLine, former: Argument, next: Argument): CommandLine => ({
  ...line,
  arguments: line.arguments.map((argument) => (argument === former ? next : argument)),
})
