/**
 * Reads the machine of a QEMU over QMP. It sends all commands at once, so the answers take some milliseconds
 * together: a guest may be stopped meanwhile. Must not: change anything.
 */
import * as v from 'valibot'
import type { QmpClient } from '../qmp-client.ts'
import type { QmpCommands } from '../qmp-commands.ts'
import { readAddresses } from './addresses.ts'
import { type Ask, askOf, readChildren, unlessRefused } from './ask.ts'
import { deviceItems } from './device-tree.ts'
import { memoryItem, readMemoryDevices } from './memory-devices.ts'
import { networkClients, networkItem } from './networks.ts'
import { isCounted, nodeLabel } from './node-names.ts'
import { readBootOrder, readDevicePaths, readOfDevices, readOthers, readSetAgain } from './objects.ts'
import { processorItem, readProcessors } from './processors.ts'
import type { RamBlock, Reading } from './reading.ts'
import { readRunTime } from './run-time.ts'
import { forwardsOf, limitOf, type Settings, type Threshold } from './settings.ts'

const MemdevsSchema = v.array(v.object({ id: v.optional(v.string()), size: v.number(), share: v.boolean() }))
const NodeSchema = v.object({
  'node-name': v.optional(v.string(), ''),
  drv: v.string(),
  file: v.string(),
  ro: v.boolean(),
  backing_file: v.optional(v.string()),
  detect_zeroes: v.optional(v.string()),
  write_threshold: v.optional(v.number(), 0),
  cache: v.object({ direct: v.boolean(), 'no-flush': v.boolean() }),
  'dirty-bitmaps': v.optional(
    v.array(v.object({ name: v.optional(v.string()), persistent: v.optional(v.boolean(), false) })),
    [],
  ),
})
type Node = v.InferOutput<typeof NodeSchema>
const DrivesSchema = v.array(
  v.object({
    device: v.string(),
    qdev: v.optional(v.string()),
    inserted: v.optional(
      v.looseObject({ 'node-name': v.optional(v.string(), ''), drv: v.string(), file: v.string() }),
    ),
  }),
)
type Drive = v.InferOutput<typeof DrivesSchema>[number]
const JobsSchema = v.array(v.object({ id: v.string(), type: v.string(), status: v.string() }))
const ExportsSchema = v.array(v.object({ id: v.string(), type: v.string(), 'node-name': v.string() }))
const ChardevsSchema = v.array(v.object({ label: v.string(), filename: v.string() }))
const IdsSchema = v.array(v.object({ id: v.string() }))

/** The type of each object by its id. Errors: as of `readMachine`. */
const readObjects = (ask: Ask): Promise<Map<string, string>> => readChildren(ask, '/objects')

/** Errors: as of `readMachine`. */
export async function readRam(qmp: QmpCommands): Promise<RamBlock[]> {
  const ask = askOf(qmp)
  return await readBlocks(ask, readObjects(ask))
}

async function readBlocks(ask: Ask, listed: ReturnType<typeof readObjects>): Promise<RamBlock[]> {
  const [memdevs, objects] = await Promise.all([ask(MemdevsSchema, 'query-memdev'), listed])
  return await Promise.all(
    memdevs.map(async ({ id = '', size, share }) => {
      const type = objects.get(id) ?? ''
      const block = { id, type, sizeBytes: size, isShared: share }
      if (type !== 'memory-backend-file') return { ...block, path: null, isDiscarded: false }
      const path = `/objects/${id}`
      const [file, isDiscarded] = await Promise.all([
        ask(v.string(), 'qom-get', { path, property: 'mem-path' }),
        ask(v.boolean(), 'qom-get', { path, property: 'discard-data' }),
      ])
      return { ...block, path: file, isDiscarded }
    }),
  )
}

/** Errors: as of `readMachine`. */
export async function readSettings(qmp: QmpClient): Promise<Settings> {
  const ask = askOf(qmp)
  const [drives, forwards, nodes, objects, devices] = await Promise.all([
    ask(DrivesSchema, 'query-block'),
    readForwards(ask),
    readNodes(ask),
    readObjects(ask).then((listed) => readSetAgain(ask, listed)),
    readDevicePaths(ask).then((listed) => readOfDevices(ask, listed)),
  ])
  return settingsOf({ drives, forwards, nodes, objects, devices })
}

const settingsOf = ({ drives, forwards, nodes, objects, devices }: SettingsAnswers): Settings => ({
  forwards,
  limits: drives.flatMap(limitOfDrive),
  thresholds: nodes.flatMap(thresholdOf),
  objects,
  devices,
})

interface SettingsAnswers extends Pick<Settings, 'forwards' | 'objects' | 'devices'> {
  readonly drives: readonly Drive[]
  readonly nodes: readonly Node[]
}

const readNodes = (ask: Ask): Promise<Node[]> =>
  ask(v.array(NodeSchema), 'query-named-block-nodes', { flat: true })

/** A QEMU without user networking has no such command, and no forwards. */
const readForwards = async (ask: Ask): Promise<Settings['forwards']> =>
  forwardsOf(
    await unlessRefused(ask(v.string(), 'human-monitor-command', { 'command-line': 'info usernet' }), ''),
  )

/**
 * `ask`: one that other readers of the same machine use, too. Errors (QemuError): QEMU does not answer, or
 * its answer does not fit its own schema.
 */
export async function readMachine(qmp: QmpClient, ask = askOf(qmp)): Promise<Reading> {
  const [listed, paths] = [readObjects(ask), readDevicePaths(ask)]
  const monitor = (line: string) => ask(v.string(), 'human-monitor-command', { 'command-line': line })
  const told = monitor('info network').then(networkClients)
  // This process sends these with the others and does not wait for them first: a guest may be stopped.
  const rest = Promise.all([
    ask(ExportsSchema, 'query-block-exports'),
    paths.then((devices) => readBootOrder(ask, devices)),
    listed.then((objects) => readOthers(ask, objects)),
    listed.then((objects) => readSetAgain(ask, objects)),
    paths.then((devices) => readOfDevices(ask, devices)),
    readRunTime(ask),
    told.then((clients) => readAddresses(ask, clients)),
  ])
  rest.catch(() => {}) // it is awaited after the others, one of which may reject first
  const [ram, objects, tree, processors, memory, nodes, drives, jobs, networks, forwards, chardevs, threads] =
    await Promise.all([
      readBlocks(ask, listed),
      listed,
      monitor('info qtree'),
      readProcessors(ask),
      readMemoryDevices(ask),
      readNodes(ask),
      ask(DrivesSchema, 'query-block'),
      ask(JobsSchema, 'query-jobs'),
      told,
      readForwards(ask),
      ask(ChardevsSchema, 'query-chardev'),
      ask(IdsSchema, 'query-iothreads'),
    ])
  const [exported, bootOrder, others, properties, devices, runTime, addresses] = await rest
  return {
    ram,
    settings: settingsOf({ drives, forwards, nodes, objects: properties, devices }),
    items: {
      objects: [...objects].map(([id, type]) => `${id}: ${type}`),
      devices: deviceItems(tree),
      processors: processors.map(processorItem),
      memory: memory.map(memoryItem),
      disks: nodes.map(describeNode),
      media: drives.map(
        ({ device, qdev, inserted }) => `${qdev ?? device}: ${inserted ? nodeOf(inserted) : 'empty'}`,
      ),
      bitmaps: nodes.flatMap(temporaryBitmaps),
      jobs: jobs.map(({ id, type, status }) => `${id}: ${type}, ${status}`),
      exports: exported.map((each) => `${each.id}: ${each.type} of ${each['node-name']}`),
      'boot order': [...bootOrder.withId],
      properties: others,
      networks: networks.map(networkItem),
      addresses,
      caches: nodes.map(
        ({ cache: { direct, 'no-flush': noFlush }, ...node }) =>
          `${nodeOf(node)}: cache.direct ${direct}, cache.no-flush ${noFlush}`,
      ),
      'run time': [...runTime, ...bootOrder.withoutId.map((item) => `place in the boot order of ${item}`)],
      consoles: [
        ...chardevs.map(({ label, filename }) => `${label}: ${chardevKind(filename)}`),
        ...threads.map(({ id }) => `${id}: iothread`),
      ],
    },
  }
}

const nodeOf = ({ 'node-name': name, drv, file }: Pick<Node, 'node-name' | 'drv' | 'file'>): string =>
  nodeLabel(name, drv, file)

/** QEMU keeps limits with the device, and reports them with its medium. */
function limitOfDrive({ device, qdev, inserted }: Drive) {
  const limit = inserted && limitOf(qdev ?? device, inserted)
  return limit === undefined ? [] : [limit]
}

/** 0: there is none. QEMU removes it when it reports that the image has grown so far. */
const thresholdOf = ({ 'node-name': name, drv, file, write_threshold: bytes }: Node): Threshold[] =>
  bytes === 0 ? [] : [{ node: nodeLabel(name, drv, file), bytes }]

function describeNode(node: Node): string {
  const { drv, file, ro, backing_file: backing = 'none', detect_zeroes: zeroes = 'off' } = node
  const what = `backing ${backing}, ${ro ? 'read-only' : 'writable'}, detect-zeroes ${zeroes}`
  const name = node['node-name']
  return isCounted(name) ? `${file}: ${drv}, ${what}` : `${name}: ${drv} ${file}, ${what}`
}

/** Persistent ones are in the image once QEMU has closed it. */
const temporaryBitmaps = (node: Node): string[] =>
  node['dirty-bitmaps']
    .filter(({ persistent }) => !persistent)
    .map(({ name = 'without a name' }) => `${node['node-name']}: ${name}`)

/** Protocols whose `filename` has the address of the present peer. */
const CONNECTED = ['tcp', 'telnet', 'websocket', 'tls', 'unix', 'udp', 'vsock']

/** Only the protocol of a socket: the rest changes with each client. */
function chardevKind(filename: string): string {
  const name = filename.startsWith('disconnected:') ? filename.slice('disconnected:'.length) : filename
  const protocol = name.slice(0, Math.max(0, name.indexOf(':')))
  return CONNECTED.includes(protocol) ? protocol : name
}
