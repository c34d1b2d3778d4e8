/**
 * Capabilities and parameters of QEMU's migration (qapi/migration.json). The operator may have set some,
 * which would change our save or make it fail. So guestmemfs resets all of them for the save, and sets them
 * again afterwards: in the same QEMU when a save is undone, else in the guest's next one.
 */
import * as v from 'valibot'
import { errorText } from '../values/errors.ts'
import { type Ask, askOf } from './machine/ask.ts'
import type { QmpCommands } from './qmp-commands.ts'

export const MigrationSettingsSchema = v.object({
  /** Those that are on. */
  capabilities: v.array(v.string()),
  parameters: v.record(v.string(), v.unknown()),
})
export type MigrationSettings = v.InferOutput<typeof MigrationSettingsSchema>

const CapabilitiesSchema = v.array(v.object({ capability: v.string(), state: v.boolean() }))
const ParametersSchema = v.record(v.string(), v.unknown())

/**
 * `events` makes QEMU report each change of status; `x-ignore-shared` leaves shared guest RAM out of the
 * stream.
 */
const LEAVES_RAM_OUT = 'x-ignore-shared'
const OURS = ['events', LEAVES_RAM_OUT]
export const OUR_MODE = 'cpr-reboot'
/** No TLS and no direct I/O: the channel is a file in the mount. */
const OF_A_LOAD = { 'tls-creds': '', 'direct-io': false }
/**
 * 0: no limit. The guest is stopped while QEMU writes its private RAM, and QEMU's usual limit is 128 MiB/s.
 */
const OF_A_SAVE = { ...OF_A_LOAD, 'max-bandwidth': 0 }

/**
 * What the operator has set. The mode cpr-reboot is taken for that of an update that was killed, since an
 * ordinary migration would lose the guest's RAM in it. Errors (QemuError): QEMU does not answer.
 */
export async function operatorsMigration(qmp: QmpCommands): Promise<MigrationSettings> {
  const { capabilities, parameters } = await readMigration(qmp)
  if (parameters.mode !== OUR_MODE) return { capabilities, parameters }
  return {
    capabilities: capabilities.filter((capability) => !OURS.includes(capability)),
    parameters: { ...parameters, mode: 'normal' },
  }
}

async function readMigration(qmp: QmpCommands): Promise<MigrationSettings> {
  const ask = askOf(qmp)
  const [capabilities, parameters] = await Promise.all([readCapabilities(ask), readParameters(ask)])
  return { capabilities, parameters }
}

/** Those that are on. */
async function readCapabilities(ask: Ask): Promise<string[]> {
  const all = await ask(CapabilitiesSchema, 'query-migrate-capabilities')
  return all.flatMap(({ capability, state }) => (state ? [capability] : []))
}

const readParameters = (ask: Ask): Promise<MigrationSettings['parameters']> =>
  ask(ParametersSchema, 'query-migrate-parameters')

/** Whether QEMU is set for `cpr-reboot`: outside of an update, a command that was killed has left it so. */
export const isSetForSave = async (qmp: QmpCommands): Promise<boolean> =>
  (await readParameters(askOf(qmp))).mode === OUR_MODE

/** Whether a migration leaves shared guest RAM out: then it was none to another host. */
export const leavesRamOut = async (qmp: QmpCommands): Promise<boolean> =>
  (await readCapabilities(askOf(qmp))).includes(LEAVES_RAM_OUT)

/** For our save, or our load. Errors (QemuError): QEMU refuses, or does not answer. */
export async function setOurs(qmp: QmpCommands, work: 'save' | 'load'): Promise<void> {
  const now = await readMigration(qmp)
  await setCapabilities(qmp, now.capabilities, OURS)
  // A version of QEMU may not have all of them.
  const other = Object.entries(work === 'save' ? OF_A_SAVE : OF_A_LOAD).filter(
    ([name, value]) => name in now.parameters && now.parameters[name] !== value,
  )
  await qmp.execute('migrate-set-parameters', { ...Object.fromEntries(other), mode: OUR_MODE })
}

/**
 * What QEMU has otherwise is set to `wanted`. undefined: it is not known what was set; QEMU is only taken out
 * of our mode, in which an ordinary live migration by the operator would lose the guest's RAM. Returns one
 * line for each that this QEMU refuses. Errors (QemuError): it does not answer.
 */
export async function setMigration(
  qmp: QmpCommands,
  known: MigrationSettings | undefined,
): Promise<string[]> {
  const now = await readMigration(qmp)
  const wanted = known ?? {
    capabilities: now.capabilities.filter((capability) => !OURS.includes(capability)),
    parameters: { mode: 'normal' },
  }
  const problems: string[] = []
  const addProblem = (what: string) => (error: unknown) =>
    void problems.push(`${what} of migrations could not be set again: ${errorText(error)}`)
  const other = Object.entries(wanted.parameters).filter(
    ([name, value]) => JSON.stringify(now.parameters[name]) !== JSON.stringify(value),
  )
  // Before the capabilities: one may exclude our mode.
  for (const [name, value] of other)
    await qmp
      .execute('migrate-set-parameters', { [name]: value })
      .catch(addProblem(`parameter ${name}=${JSON.stringify(value)}`))
  // One by one: this QEMU may not have all of them.
  await setCapabilities(qmp, now.capabilities, wanted.capabilities).catch(async () => {
    for (const capability of wanted.capabilities)
      await setCapabilities(qmp, [], [capability]).catch(addProblem(`capability ${capability}`))
    await setCapabilities(qmp, now.capabilities, []).catch(addProblem('capabilities'))
  })
  return problems
}

/** QEMU checks the set as a whole: some exclude each other, and some need others. */
async function setCapabilities(
  qmp: QmpCommands,
  now: readonly string[],
  wanted: readonly string[],
): Promise<void> {
  const off = now.filter((capability) => !wanted.includes(capability))
  const on = wanted.filter((capability) => !now.includes(capability))
  if (off.length + on.length === 0) return
  const state = (isOn: boolean) => (capability: string) => ({ capability, state: isOn })
  await qmp.execute('migrate-set-capabilities', {
    capabilities: [...off.map(state(false)), ...on.map(state(true))],
  })
}
