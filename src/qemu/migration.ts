/**
 * The QMP commands that both halves of a live update share: what blocks a migration, its channel, and waiting
 * for its end. Source: QEMU `qapi/migration.json`; the mode is described in `docs/devel/migration/CPR.rst`.
 */
import * as v from 'valibot'
import { QemuError } from '../values/errors.ts'
import { LATE, within } from '../values/within.ts'
import { OUR_MODE, personsMigration } from './migration-settings.ts'
import type { QmpClient } from './qmp-client.ts'

const StatusSchema = v.object({ status: v.string(), running: v.boolean() })
export type RunStatus = v.InferOutput<typeof StatusSchema>

const MigrateSchema = v.object({
  status: v.optional(v.string()),
  'error-desc': v.optional(v.string()),
  'blocked-reasons': v.optional(v.array(v.string())),
})

/** How often a QEMU that migrates is asked for its status. */
const LOOK_MS = 500

export async function runStatus(qmp: QmpClient): Promise<RunStatus> {
  return v.parse(StatusSchema, await qmp.execute('query-status'))
}

/**
 * Why this guest cannot be saved: devices and mounts that QEMU knows to block it. They depend on the mode
 * (`migration_blockers`, migration/migration.c), which is the one of a save meanwhile.
 */
export async function blockedReasons(qmp: QmpClient): Promise<readonly string[]> {
  const { mode } = (await personsMigration(qmp)).parameters
  await qmp.execute('migrate-set-parameters', { mode: OUR_MODE })
  try {
    return v.parse(MigrateSchema, await qmp.execute('query-migrate'))['blocked-reasons'] ?? []
  } finally {
    await qmp.execute('migrate-set-parameters', { mode })
  }
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
  const isFinal = (status: unknown) => status === 'completed' || status === 'failed' || status === 'cancelled'
  const ended = qmp.event(
    ({ name, data }) => name === 'MIGRATION' && isFinal(data.status),
    timeoutMs,
    'the migration did not end',
  )
  const end = await whileItAnswers(qmp, ended)
  if (end.data.status === 'completed') return
  const { 'error-desc': reason } = v.parse(MigrateSchema, await qmp.execute('query-migrate'))
  throw new QemuError(reason ?? `the migration was ${end.data.status}`)
}

/** What `event` resolves with. A QEMU that hangs fails a query long before the migration's own timeout. */
async function whileItAnswers<T>(qmp: QmpClient, event: Promise<T>): Promise<T> {
  event.catch(() => {}) // a rejection reaches the await below
  for (;;) {
    const first = await within(event, LOOK_MS)
    if (first !== LATE) return first
    await runStatus(qmp)
  }
}
