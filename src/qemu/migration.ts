/**
 * The QMP commands that both halves of a live update share: what blocks a migration, its channel, and waiting
 * for its end. Source: QEMU `qapi/migration.json`; the mode is described in `docs/devel/migration/CPR.rst`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import { QemuError } from '../values/errors.ts'
import { LATE, within } from '../values/within.ts'
import { askOf } from './machine/ask.ts'
import { type MigrationSettings, OUR_MODE, setMigration } from './migration-settings.ts'
import type { QmpClient } from './qmp-client.ts'
import type { QmpCommands } from './qmp-commands.ts'

const StatusSchema = v.object({ status: v.string(), running: v.boolean() })
export type RunStatus = v.InferOutput<typeof StatusSchema>

const MigrateSchema = v.object({
  status: v.optional(v.string()),
  'error-desc': v.optional(v.string()),
  'blocked-reasons': v.optional(v.array(v.string())),
})

/** How often a QEMU that migrates is asked for its status. */
const LOOK_MS = 500

export async function runStatus(qmp: QmpCommands): Promise<RunStatus> {
  return await askOf(qmp)(StatusSchema, 'query-status')
}

const REST_TIMEOUT_MS = 5_000
const REST_LOOK_MS = 20

/**
 * The state that a migration leaves the guest in. QEMU calls the migration completed or cancelled while the
 * guest is still in state `finish-migrate` (`migration_completion_end`, `migration_iteration_finish`). Errors
 * (QemuError): it stays in that, or QEMU does not answer.
 */
export async function statusAtRest(qmp: QmpCommands): Promise<RunStatus> {
  const deadline = performance.now() + REST_TIMEOUT_MS
  for (;;) {
    const now = await runStatus(qmp)
    if (now.status !== 'finish-migrate') return now
    if (performance.now() > deadline) throw new QemuError('its migration does not come to its end')
    await sleep(REST_LOOK_MS)
  }
}

/** Of `query-migrate`: no migration is under way (MigrationStatus, qapi/migration.json). */
const AT_REST = ['none', 'completed', 'failed', 'cancelled']

/**
 * QMP's status of a migration that is under way, such as the operator's to another host; undefined: there is
 * none.
 */
export async function migrationUnderWay(qmp: QmpCommands): Promise<string | undefined> {
  const { status = 'none' } = await queryMigration(qmp)
  return AT_REST.includes(status) ? undefined : status
}

export interface Blocked {
  /** Why this guest cannot be saved, in QEMU's words. */
  readonly reasons: readonly string[]
  /** What the operator must know, one line each. */
  readonly remarks: readonly string[]
}

/**
 * Asks QEMU for the devices and mounts that block a save. They depend on the mode (`migration_blockers`,
 * migration/migration.c), so QEMU is set to that of a save for this one question; guest RAM stays in the
 * stream, and a migration that the operator starts in that moment takes all of the guest. `migration`: what
 * QEMU is set to afterwards; a remark says what it refuses of that. The caller holds the VM's update lock, as
 * the save of another command would lose its mode, and sets QEMU back (`setMigration`) where this fails.
 * Errors: QemuError.
 */
export async function blockedReasons(qmp: QmpCommands, migration: MigrationSettings): Promise<Blocked> {
  await qmp.execute('migrate-set-parameters', { mode: OUR_MODE })
  const reasons = (await queryMigration(qmp))['blocked-reasons'] ?? []
  return { reasons, remarks: await setMigration(qmp, migration) }
}

/** The state file as an argument of QMP, with no syntax that a file name could break. */
export function fileChannels(path: string): object {
  return {
    channels: [{ 'channel-type': 'main', addr: { transport: 'file', filename: path, offset: 0 } }],
  }
}

/**
 * Resolves when the migration is complete. Errors (QemuError): it failed (in QEMU's words), it takes longer
 * than `timeoutMs`, QEMU does not answer any more.
 */
export async function awaitMigration(qmp: QmpClient, timeoutMs: number): Promise<void> {
  const end = await finalStatus(qmp, timeoutMs)
  if (end === 'completed') return
  const { 'error-desc': reason } = await queryMigration(qmp)
  throw new QemuError(reason ?? `the migration was ${end}`)
}

/**
 * By QEMU's event, or by its answer to a query: a QEMU that hangs fails one long before the migration's own
 * timeout, and no event can be missed.
 */
async function finalStatus(qmp: QmpClient, timeoutMs: number): Promise<string> {
  const ended = qmp.event(
    ({ name, data }) => name === 'MIGRATION' && isFinal(data.status),
    timeoutMs,
    'the migration did not end',
  )
  ended.catch(() => {}) // a rejection reaches the await below
  for (;;) {
    const first = await within(ended, LOOK_MS)
    if (first !== LATE) return String(first.data.status)
    const { status } = await queryMigration(qmp)
    if (isFinal(status)) return status
  }
}

export const isFinal = (status: unknown): status is string =>
  status === 'completed' || status === 'failed' || status === 'cancelled'

export const queryMigration = (qmp: QmpCommands): Promise<v.InferOutput<typeof MigrateSchema>> =>
  askOf(qmp)(MigrateSchema, 'query-migrate')
