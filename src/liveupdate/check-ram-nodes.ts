/**
 * The doctor's findings about RAM on the wrong memory node: what each guest's line asks for (`host-nodes`),
 * where the file of a region is, and, of memfds, where the pages are that the guest's QEMU has mapped. Reads
 * alone.
 */
import { nodeIds } from '../linux/memory-nodes.ts'
import { addNodeBytes, type NodeBytes } from '../linux/page-nodes.ts'
import { fileMappings } from '../linux/page-sizes.ts'
import {
  type AskedNodes,
  describeMisplaced,
  isFixed,
  misplacedRam,
  nodesAskedBy,
} from '../qemu/host-nodes.ts'
import { type RamMap, readRamMap } from '../qemu/ram-file.ts'
import { readVms, type Vm } from '../qemu/vm-list.ts'
import { UsageError } from '../values/errors.ts'
import { type Finding, ok, warn } from '../values/finding.ts'
import { formatSize } from '../values/size.ts'
import { vmMounts } from './vm-mounts.ts'

/** How the findings see the host. */
export interface NodeView {
  /** Errors: UsageError, of a file that is gone. */
  readonly mapOf: (path: string) => RamMap
  /** Of the pages of the file that the process has mapped. */
  readonly pagesOf: (pid: number, path: string) => readonly NodeBytes[]
}

/** None on a host with one memory node, and for users: only root can read which guests there are. */
export function checkRamNodes(): Finding[] {
  if (nodeIds().length < 2) return []
  const vms = recordedVms()
  const asking = vms.filter(({ definition }) => nodesAskedBy(definition).length > 0)
  if (asking.length === 0) return []
  const paths = new Set(asking.flatMap(({ definition: { ramFiles } }) => ramFiles.map(({ path }) => path)))
  const mapped = fileMappings((path) => paths.has(path), { hasNodes: true })
  return ramNodeFindings(asking, {
    mapOf: readRamMap,
    pagesOf: (pid, path) =>
      addNodeBytes(
        mapped.flatMap(({ nodeBytes, ...each }) =>
          nodeBytes && each.pid === pid && each.path === path ? [nodeBytes] : [],
        ),
      ),
  })
}

function recordedVms(): readonly Vm[] {
  try {
    return readVms(vmMounts(undefined).mounts.flatMap(({ recorded }) => recorded)).vms
  } catch (error) {
    if (error instanceof UsageError) return []
    throw error
  }
}

/** One for each RAM file for which the guest's line asks for nodes, and whose place is known. */
export function ramNodeFindings(vms: readonly Vm[], view: NodeView): Finding[] {
  return vms.flatMap((vm) => {
    return nodesAskedBy(vm.definition).flatMap((asked) => {
      const file = vm.definition.ramFiles.find(({ id }) => id === asked.id)
      return file === undefined ? [] : checkFile(vm, asked, file.path, view)
    })
  })
}

function checkFile(vm: Vm, asked: AskedNodes, path: string, view: NodeView): Finding[] {
  const subject = `VM ${vm.definition.name} ${asked.id}`
  const right = ok(subject, `in memory node ${asked.nodes.join(', ')}, as its line asks`)
  let map: RamMap
  try {
    map = view.mapOf(path)
  } catch (error) {
    if (error instanceof UsageError) return [] // `vms` and the preflight report it
    throw error
  }
  if (isFixed(map)) {
    if (map.nodes === undefined) return []
    const [misplaced] = misplacedRam(vm.definition, () => map).filter((each) => each.path === path)
    if (misplaced === undefined) return [right]
    return [
      warn(
        subject,
        describeMisplaced(misplaced),
        'give the guest a file of a pool in that node when it is next started anew',
      ),
    ]
  }
  if (vm.qemu === undefined) return []
  const { pid } = vm.qemu
  const pages = view.pagesOf(pid, path)
  const wrong = pages.filter(({ node }) => !asked.nodes.includes(node))
  if (pages.length === 0) return []
  if (wrong.length === 0) return [right]
  const where = wrong.map(({ node, bytes }) => `${formatSize(bytes)} in memory node ${node}`).join(', ')
  const from = wrong.map(({ node }) => node).join(',')
  return [
    warn(
      subject,
      `${where}, where its line asks for ${asked.nodes.join(', ')} (policy=${asked.policy})`,
      `migratepages ${pid} ${from} ${asked.nodes.join(',')}`,
    ),
  ]
}
