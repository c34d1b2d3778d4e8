/**
 * Settings of a machine that its command line may not have, and that are set again in the guest's next QEMU,
 * after its state is loaded and before it continues. The VM's record keeps them over a kexec.
 */
import * as v from 'valibot'
import { errorText } from '../../values/errors.ts'
import type { QmpClient } from '../qmp-client.ts'
import { deleteOpeners, nodesByLabel } from './node-names.ts'
import { type Properties, PropertiesSchema, pathOfObject } from './objects.ts'

/** Ports of this host that lead into a guest's user network (`hostfwd_add NETDEV RULE`). */
const ForwardSchema = v.object({ netdev: v.string(), rule: v.string() })
type Forward = v.InferOutput<typeof ForwardSchema>

/** The limit of a disk: the arguments of `block_set_io_throttle` (qapi/block-core.json). */
const LimitSchema = v.object({
  id: v.string(),
  values: v.record(v.string(), v.union([v.number(), v.string()])),
})
type Limit = v.InferOutput<typeof LimitSchema>

/** `node`: by `nodeLabel`. `bytes`: QEMU reports once that the image has been written so far. */
const ThresholdSchema = v.object({ node: v.string(), bytes: v.number() })
export type Threshold = v.InferOutput<typeof ThresholdSchema>

export const SettingsSchema = v.object({
  forwards: v.array(ForwardSchema),
  limits: v.array(LimitSchema),
  /** Left out by former versions, as `objects` and `devices`. */
  thresholds: v.optional(v.array(ThresholdSchema)),
  /** Properties of objects, and of devices. */
  objects: v.optional(PropertiesSchema),
  devices: v.optional(PropertiesSchema),
})
export type Settings = v.InferOutput<typeof SettingsSchema>

/** QEMU refuses the command without these. */
const NONE = { bps: 0, bps_rd: 0, bps_wr: 0, iops: 0, iops_rd: 0, iops_wr: 0 }
const MORE = Object.keys(NONE).flatMap((name) => [`${name}_max`, `${name}_max_length`])
const NUMBERS = [...Object.keys(NONE), ...MORE, 'iops_size']

/** From `info usernet`: the rows of forwards, not those of connections. */
export function forwardsOf(text: string): Forward[] {
  let netdev = ''
  return text.split(/\r?\n/).flatMap((line) => {
    if (line.startsWith('Hub ') && line.endsWith('):')) netdev = line.slice(line.lastIndexOf('(') + 1, -2)
    const [, protocol, from, port, to, toPort] =
      /^ *(\w+)\[HOST_FORWARD\] +\d+ +(\S+) +(\d+) +(\S+) +(\d+)/.exec(line) ?? []
    if (protocol === undefined) return []
    const host = from === '*' ? '' : from
    return [{ netdev, rule: `${protocol.toLowerCase()}:${host}:${port}-${to}:${toPort}` }]
  })
}

/** `inserted`: as `query-block` has it. undefined: the disk has no limit. */
export function limitOf(id: string, inserted: Readonly<Record<string, unknown>>): Limit | undefined {
  const numbers = NUMBERS.flatMap((name) => {
    const value = inserted[name]
    return typeof value === 'number' && value !== 0 ? [[name, value] as const] : []
  })
  if (numbers.length === 0) return undefined
  const { group } = inserted
  const values = { ...NONE, ...Object.fromEntries(numbers) }
  return { id, values: typeof group === 'string' ? { ...values, group } : values }
}

/**
 * Sets what differs. Returns one line for each setting that could not be set; the guest runs without it.
 * Never rejects.
 */
export async function setAgain(qmp: QmpClient, wanted: Settings, now: Settings): Promise<string[]> {
  const problems: string[] = []
  const addProblem = (what: string, problem: string): void =>
    void problems.push(`${what} could not be set again: ${problem}`)
  const human = async (line: string, what: string): Promise<void> => {
    const output = await qmp.execute('human-monitor-command', { 'command-line': line }).catch(errorText)
    // QEMU prints a line also when it has removed one.
    if (typeof output === 'string' && output.trim() !== '' && !/ removed\s*$/.test(output))
      addProblem(what, output.trim())
  }
  for (const { netdev, rule } of missing(now.forwards, wanted.forwards))
    await human(removal(netdev, rule), `no forward ${rule}`)
  for (const { netdev, rule } of missing(wanted.forwards, now.forwards))
    await human(`hostfwd_add ${netdev} ${rule}`, `forward ${rule} of ${netdev}`)
  const lifted = now.limits.filter(({ id }) => !wanted.limits.some((limit) => limit.id === id))
  const changed = [...missing(wanted.limits, now.limits), ...lifted.map(({ id }) => ({ id, values: NONE }))]
  for (const { id, values } of changed)
    await qmp
      .execute('block_set_io_throttle', { id, ...values })
      .catch((error: unknown) => addProblem(`the limit of ${id}`, errorText(error)))
  const all = ({ objects, devices }: Settings): Properties => ({ ...objects, ...devices })
  for (const { id, property, problem } of await setProperties(qmp, all(wanted), all(now)))
    addProblem(`${property} of ${pathOfObject(id)}`, problem)
  const thresholds = missing(wanted.thresholds ?? [], now.thresholds ?? [])
  const names = thresholds.length === 0 ? undefined : await nodesByLabel(qmp).catch(() => undefined)
  for (const { node, bytes } of thresholds)
    await qmp
      .execute('block-set-write-threshold', {
        ...{ 'node-name': names?.get(node) ?? node, 'write-threshold': bytes },
      })
      .catch((error: unknown) => addProblem(`the write threshold of ${node}`, errorText(error)))
  return [...problems, ...(await deleteOpeners(qmp))]
}

/**
 * Returns those that could not be set. QEMU refuses a smaller thread-pool-max as long as the smaller
 * thread-pool-min is not set, and the other way round: so what was refused is tried again after the others.
 */
async function setProperties(qmp: QmpClient, wanted: Properties, now: Properties) {
  let left = Object.entries(wanted).flatMap(([id, values]) =>
    Object.entries(values)
      .filter(([property, value]) => JSON.stringify(now[id]?.[property]) !== JSON.stringify(value))
      .map(([property, value]) => ({ id, property, value, problem: '' })),
  )
  for (let pass = 0; pass < 2; pass++) {
    const refused: typeof left = []
    for (const each of left) {
      const { id, property, value } = each
      await qmp
        .execute('qom-set', { path: pathOfObject(id), property, value })
        .catch((error: unknown) => refused.push({ ...each, problem: errorText(error) }))
    }
    left = refused
  }
  return left
}

/**
 * Removes the forwarded ports of a stopped guest, so that another QEMU can bind them; `setAgain` adds them
 * again. Errors: QemuError.
 */
export async function releaseForwards(qmp: QmpClient, { forwards }: Settings): Promise<void> {
  for (const { netdev, rule } of forwards)
    await qmp.execute('human-monitor-command', { 'command-line': removal(netdev, rule) })
}

const removal = (netdev: string, rule: string): string =>
  `hostfwd_remove ${netdev} ${rule.slice(0, rule.lastIndexOf('-'))}`

function missing<T>(left: readonly T[], right: readonly T[]): T[] {
  const has = new Set(right.map((item) => JSON.stringify(item)))
  return left.filter((item) => !has.has(JSON.stringify(item)))
}
