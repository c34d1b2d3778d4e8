/**
 * QEMU's block graph as it is: the children of each node, and the top node of each disk and drive. A node
 * that the operator has not named gets a number from QEMU, and another one from the next QEMU.
 */
import * as v from 'valibot'
import { QemuError } from '../../values/errors.ts'
import type { Ask } from '../machine/ask.ts'
import { isOpener } from '../machine/node-names.ts'

const NodeSchema = v.object({
  'node-name': v.string(),
  drv: v.string(),
  file: v.string(),
  ro: v.boolean(),
  detect_zeroes: v.optional(v.string(), 'off'),
  cache: v.object({ direct: v.boolean(), 'no-flush': v.boolean() }),
})
const DriveSchema = v.object({
  device: v.string(),
  qdev: v.optional(v.string()),
  inserted: v.optional(
    v.object({
      'node-name': v.string(),
      image: v.optional(v.object({ 'virtual-size': v.optional(v.number()) })),
    }),
  ),
})
/** `type`: `block-driver`, `block-backend` or `block-job`. */
const GraphSchema = v.object({
  nodes: v.array(v.object({ id: v.number(), type: v.string(), name: v.string() })),
  edges: v.array(v.object({ parent: v.number(), child: v.number(), name: v.string() })),
})

/** A QEMU that reports more is refused: other guests wait meanwhile. */
const MOST = 2000

export interface BlockNode {
  readonly name: string
  /** `raw`, `qcow2`, `file`, … */
  readonly driver: string
  /** The file name that QEMU reports, or `json:{…}` where a name does not describe the node. */
  readonly file: string
  readonly isReadOnly: boolean
  readonly detectZeroes: string
  readonly cache: { readonly direct: boolean; readonly 'no-flush': boolean }
  /** Names of nodes by the child's role: `file`, `backing`, `data-file`, …. */
  readonly children: ReadonlyMap<string, string>
}

export interface Drive {
  /** The id of a `-drive`. Empty: the device has a node of `-blockdev`, or no medium. */
  readonly backend: string
  /** The device's id; undefined: it has none, or the drive has no device. */
  readonly device: string | undefined
  /** undefined: there is no medium. */
  readonly node: string | undefined
  /** As the guest sees it; undefined: there is no medium, or QEMU does not report it. */
  readonly sizeBytes: number | undefined
}

export interface BlockGraph {
  readonly nodes: ReadonlyMap<string, BlockNode>
  readonly drives: readonly Drive[]
}

/** Errors (QemuError): QEMU does not answer, or its answer does not fit its own schema. */
export async function readBlockGraph(ask: Ask): Promise<BlockGraph> {
  const [listed, drives, graph] = await Promise.all([
    ask(v.array(NodeSchema), 'query-named-block-nodes', { flat: true }),
    ask(v.array(DriveSchema), 'query-block'),
    ask(GraphSchema, 'x-debug-query-block-graph'),
  ])
  if (listed.length > MOST || drives.length > MOST || graph.edges.length > MOST)
    throw new QemuError(`QEMU reports more than ${MOST} block nodes, disks or edges between them`)
  const names = new Map(graph.nodes.map(({ id, name, type }) => [id, type === 'block-driver' ? name : '']))
  const edges = Map.groupBy(graph.edges, ({ parent }) => names.get(parent) ?? '')
  const childrenOf = (name: string): Map<string, string> =>
    new Map((edges.get(name) ?? []).map((edge) => [edge.name, names.get(edge.child) ?? '']))
  return {
    nodes: new Map(listed.map((node) => [node['node-name'], describe(node, childrenOf(node['node-name']))])),
    drives: drives.map(({ device, qdev, inserted }) => ({
      backend: device,
      device: qdev === undefined ? undefined : deviceOf(qdev),
      node: inserted?.['node-name'],
      sizeBytes: inserted?.image?.['virtual-size'],
    })),
  }
}

function describe(node: v.InferOutput<typeof NodeSchema>, children: Map<string, string>): BlockNode {
  const { drv: driver, file, ro: isReadOnly, detect_zeroes: detectZeroes, cache } = node
  return { name: node['node-name'], driver, file, isReadOnly, detectZeroes, cache, children }
}

/** `qdev` is an id, or the path of a device or of its backend. */
function deviceOf(qdev: string): string | undefined {
  if (!qdev.startsWith('/')) return qdev
  return /^\/machine\/peripheral\/([^/]+)(?:\/virtio-backend)?$/.exec(qdev)?.[1]
}

/**
 * One line for each node and each drive, without the names that QEMU gave: equal graphs have equal lines.
 * Without openers, which the trial's QEMU has and one that runs has not.
 */
export function blockFacts({ nodes, drives }: BlockGraph): string[] {
  const label = (name: string | undefined): string => {
    const node = name === undefined ? undefined : nodes.get(name)
    return node === undefined ? 'nothing' : `${node.driver} ${node.file}`
  }
  const factOf = ({ name, isReadOnly, detectZeroes, cache, children }: BlockNode): string => {
    const below = [...children].map(([role, child]) => `${role} ${label(child)}`).sort()
    const ways = [
      isReadOnly ? 'read-only' : 'writable',
      `detect-zeroes ${detectZeroes}`,
      JSON.stringify(cache),
    ]
    return `node ${[label(name), ...ways, ...below].join(', ')}`
  }
  return [
    ...[...nodes.values()].filter(({ name }) => !isOpener(name)).map(factOf),
    // Not of nodes below, which may grow with what the guest writes.
    ...drives.map(({ backend, device, node, sizeBytes }) =>
      [
        `drive ${backend} ${device ?? ''}: ${label(node)}`,
        ...(sizeBytes === undefined ? [] : [sizeBytes]),
      ].join(', '),
    ),
  ]
}
