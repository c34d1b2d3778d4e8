/**
 * The helper processes of a guest, each the other half of a device or of its network: swtpm, virtiofsd,
 * passt. One serves one connection, and so ends with the QEMU that had it. Must not: connect to a helper.
 */
import * as v from 'valibot'
import { argumentsOf, type CommandLine, driverOf, pairsOf, parseCommandLine } from '../command-line.ts'
import { impliedValue } from '../option-string.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { type Ask, readChildren, unlessRefused } from './ask.ts'
import type { Reading } from './reading.ts'

/** Where QEMU keeps the devices with an id, and those without. */
const PLACES = ['/machine/peripheral', '/machine/peripheral-anon']
const FOLDER = /^vhost-user-fs(-|$)/
/** VHOST_USER_PROTOCOL_F_DEVICE_STATE: by name where QEMU has one for it, else a bit of the unknown ones. */
const DEVICE_STATE = /^VHOST_USER_PROTOCOL_F_DEVICE_STATE(?![A-Z_])/
const DEVICE_STATE_BIT = 1n << 19n

const StatusSchema = v.object({
  /** QEMU has it only once the guest's driver has started the device. */
  'vhost-dev': v.optional(
    v.object({
      'protocol-features': v.object({
        protocols: v.array(v.string()),
        'unknown-protocols': v.optional(v.number(), 0),
      }),
    }),
  ),
})

export interface HelpersCheck {
  /** Why the guest cannot be saved. */
  readonly problems: readonly string[]
  /** What is not known, or does not outlive this QEMU. */
  readonly remarks: readonly string[]
}

/** Errors (QemuError): QEMU does not answer. */
export async function checkHelpers(ask: Ask, definition: VmDefinition, now: Reading): Promise<HelpersCheck> {
  const { problems, remarks } = await checkFolders(ask)
  return { problems, remarks: [...remarks, ...withoutBefore(definition), ...endingConnections(now)] }
}

/**
 * Only the helper has the state of what the guest has open in a shared folder, and must send it to the next
 * one through QEMU. QEMU asks for that only when it saves, with the guest stopped
 * (`vuf_check_migration_support`, hw/virtio/vhost-user-fs.c).
 */
async function checkFolders(ask: Ask): Promise<HelpersCheck> {
  const listed = await Promise.all(
    PLACES.map(async (place) =>
      [...(await readChildren(ask, place))].flatMap(([name, type]) =>
        FOLDER.test(type) ? [{ name, path: `${place}/${name}` }] : [],
      ),
    ),
  )
  const folders = listed.flat()
  const answers = await Promise.all(folders.map(({ path }) => sendsState(ask, path)))
  const named = (answer: boolean | undefined): string[] =>
    folders.flatMap(({ name }, index) => (answers[index] === answer ? [name] : []))
  return {
    problems: named(false).map(
      (name) =>
        `cannot be saved: the helper of its shared folder ${name} cannot give its state to the next one: end the guest and start it with virtiofsd 1.11 or newer`,
    ),
    remarks: named(undefined).map(
      (name) =>
        `its shared folder ${name} is not in use yet: whether its helper can give its state to the next one is not known`,
    ),
  }
}

/** undefined: QEMU does not report it. */
async function sendsState(ask: Ask, device: string): Promise<boolean | undefined> {
  const path = `${device}/virtio-backend`
  const status = await unlessRefused(ask(StatusSchema, 'x-query-virtio-status', { path }), undefined)
  const features = status?.['vhost-dev']?.['protocol-features']
  if (features === undefined) return undefined
  const { protocols, 'unknown-protocols': bits } = features
  return protocols.some((name) => DEVICE_STATE.test(name)) || (BigInt(bits) & DEVICE_STATE_BIT) !== 0n
}

/**
 * For the operator who starts a guest: virtiofsd ends when QEMU sends it RAM that is a device, since
 * virtiofsd reads the size of what it maps. `store`: of the guest's pool.
 */
export function folderNotes(store: string | undefined, line: CommandLine): string[] {
  const hasFolder = argumentsOf(line, 'device').some((device) => FOLDER.test(driverOf(device)))
  return hasFolder && (store === 'dax' || store === 'devmem')
    ? [
        `its shared folder will not work with virtiofsd, which cannot map RAM of store=${store}: take a pool of store=memfd, or none`,
      ]
    : []
}

/** Another program may start a helper again, as systemd does with a unit. */
function withoutBefore({ argv, before = [] }: VmDefinition): string[] {
  if (before.length > 0) return []
  const line = parseCommandLine(argv)
  const helped = [
    ...argumentsOf(line, 'device').map(driverOf),
    ...argumentsOf(line, 'tpmdev').map((tpm) => impliedValue(pairsOf(tpm), 'type') ?? ''),
  ].filter((type) => FOLDER.test(type) || type === 'emulator')
  const what = helped.map((type) => (type === 'emulator' ? 'its TPM' : 'a shared folder'))
  return [...new Set(what)].map(
    (each) =>
      `the helper of ${each} ends with its QEMU: something must start it again, as 'guestmemfs run --before' would`,
  )
}

/** By the kind of backend, as a reading has it: `n0: user,net=…`. */
function endingConnections({ items }: Pick<Reading, 'items'>): string[] {
  return (items.networks ?? []).flatMap((item) => {
    const [, name, kind] = /^(.*): (user|stream|vhost-user)(?:,|$)/.exec(item) ?? []
    if (kind === undefined) return []
    return kind === 'user'
      ? [`connections through its user networking ${name} end with this QEMU`]
      : [`its network ${name} (${kind}) is connected anew: connections through a helper, as passt, end`]
  })
}
