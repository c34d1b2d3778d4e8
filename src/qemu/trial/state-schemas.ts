/**
 * The device states that two versions of QEMU write and read (`-dump-vmstate`), compared as QEMU does it when
 * it loads one (vmstate_load_state() in migration/vmstate.c): it refuses another version of a state. Fields
 * that differ may be in no stream, so the preflight warns of them, and refuses for none.
 */
import { once } from 'node:events'
import { closeSync, fchownSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as v from 'valibot'
import { spawnAs } from '../../linux/credentials.ts'
import { UsageError } from '../../values/errors.ts'
import { MIB } from '../../values/units.ts'
import type { ProbeUser } from '../binary.ts'

const TIMEOUT_MS = 20_000
/** QEMU's has less than one. */
const MOST_BYTES = 16 * MIB

interface State {
  readonly name: string
  readonly version_id: number
  readonly minimum_version_id: number
  readonly Fields?: readonly Field[] | undefined
  readonly Subsections?: readonly State[] | undefined
}
interface Field {
  readonly field: string
  readonly version_id: number
  readonly size: number
  readonly Description?: State | undefined
}

const FieldSchema: v.GenericSchema<unknown, Field> = v.object({
  field: v.string(),
  version_id: v.number(),
  size: v.number(),
  Description: v.optional(v.lazy(() => StateSchema)),
})
const StateSchema: v.GenericSchema<unknown, State> = v.object({
  name: v.string(),
  version_id: v.number(),
  minimum_version_id: v.number(),
  Fields: v.optional(v.array(FieldSchema)),
  Subsections: v.optional(v.array(v.lazy(() => StateSchema))),
})
const DumpSchema = v.record(v.string(), v.unknown())
const DeviceSchema = v.object({ Description: StateSchema })

/** By type of device; those of them that have a state. */
export type States = ReadonlyMap<string, State>

/** Errors (UsageError): the program does not print them. */
export async function readStates(
  program: string,
  machineType: string,
  types: ReadonlySet<string>,
  user: ProbeUser,
): Promise<States> {
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-states-'))
  const file = openSync(join(folder, 'dump'), 'w+', 0o600)
  // QEMU, as its user, opens it by its descriptor.
  rmSync(folder, { recursive: true })
  try {
    fchownSync(file, user.uid, user.gid)
    const child = spawnAs(user, program, ['-machine', machineType, '-dump-vmstate', '/proc/self/fd/3'], {
      env: user.environment,
      stdio: ['ignore', 'ignore', 'ignore', file],
      timeout: TIMEOUT_MS,
      killSignal: 'SIGKILL',
    })
    await once(child, 'exit')
    if (fstatSync(file).size > MOST_BYTES) throw new Error('larger than any')
    const dump = v.parse(DumpSchema, JSON.parse(readFileSync(`/proc/self/fd/${file}`, 'utf8')))
    return new Map(
      [...types].flatMap((type) =>
        dump[type] === undefined ? [] : [[type, v.parse(DeviceSchema, dump[type]).Description] as const],
      ),
    )
  } catch (cause) {
    throw new UsageError(`${program} does not print which states of devices it has (-dump-vmstate)`, {
      cause,
    })
  } finally {
    closeSync(file)
  }
}

export interface OtherStates {
  readonly problems: readonly string[]
  readonly remarks: readonly string[]
}

/** What the next QEMU would not load, or may not. */
export function otherStates(running: States, next: States): OtherStates {
  const problems: string[] = []
  const differ: string[] = []
  for (const [type, state] of running) {
    const its = next.get(type)
    if (its === undefined)
      problems.push(`its next QEMU has no state of device ${type}, and the guest has one`)
    else compare(type, state, its, problems, differ)
  }
  const remarks =
    differ.length === 0
      ? []
      : [
          `its next QEMU describes states otherwise (${differ.join(', ')}): only the load shows whether it takes them, and an update that fails is undone`,
        ]
  return { problems, remarks }
}

/** As of a device, or of a part of its state that is sent where the guest has used it. */
function compare(what: string, state: State, its: State, problems: string[], differ: string[]): void {
  const { version_id: version } = state
  if (version > its.version_id || version < its.minimum_version_id) {
    const read =
      its.minimum_version_id === its.version_id
        ? `version ${its.version_id}`
        : `versions ${its.minimum_version_id} to ${its.version_id}`
    problems.push(
      `its next QEMU reads ${read} of the state of ${what}, and the guest's has version ${version}`,
    )
    return
  }
  const [ours, theirs] = [state, its].map((one) => fieldsOf(one, version)) as [Field[], Field[]]
  const at = Array.from({ length: Math.max(ours.length, theirs.length) }).findIndex(
    (_, index) => ours[index]?.size !== theirs[index]?.size,
  )
  const [other] = at < 0 ? [] : [ours[at] ?? theirs[at]]
  if (other !== undefined) differ.push(`${what}: ${other.field} of ${other.size} bytes`)
  for (const part of state.Subsections ?? []) {
    const same = its.Subsections?.find(({ name }) => name === part.name)
    if (same === undefined) differ.push(`${what}: ${part.name}`)
    else compare(part.name, part, same, problems, differ)
  }
}

/**
 * Fields that are sent in this version, in their order. Of a struct its own fields: its size is that of C's,
 * and no name is in the stream.
 */
const fieldsOf = ({ Fields = [] }: State, version: number): Field[] =>
  Fields.filter((field) => field.version_id <= version).flatMap((field) => {
    const { Description: struct } = field
    return struct === undefined ? [field] : fieldsOf(struct, struct.version_id)
  })
