/**
 * What libvirt and QEMU say of a domain while it is updated, the end of a migration, and the domain's update
 * lock.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import { close } from '../linux/descriptors.ts'
import { askOf } from '../qemu/machine/ask.ts'
import { isFinal, queryMigration, type RunStatus } from '../qemu/migration.ts'
import { type QemuVersion, VersionSchema, versionOf } from '../qemu/qemu-version.ts'
import type { QmpCommands } from '../qemu/qmp-commands.ts'
import { ensureFolder } from '../run/paths.ts'
import { lockBriefly } from '../run/vm-runtime.ts'
import { formatTimeout } from '../values/duration.ts'
import { errorText, QemuError, UsageError } from '../values/errors.ts'
import { LIBVIRT_PATHS } from '../values/libvirt-paths.ts'
import { activeUuids, type Virsh } from './virsh.ts'

/** libvirt's id of a domain that is active. Errors: QemuError. */
export async function activeId(uuid: string, run: Virsh): Promise<number | undefined> {
  if (!(await activeUuids(run)).includes(uuid)) return undefined
  const id = Number((await run(['domid', uuid])).trim())
  return Number.isInteger(id) ? id : undefined
}

/** States of QEMU from which a domain is saved. */
const SAVED_FROM = ['running', 'paused']

/** Why a domain in this state is not saved; undefined: it is. */
export function domainStateProblem({ status }: RunStatus): string | undefined {
  // libvirt starts a domain running or paused: its wake-up events would not reach it.
  if (status === 'suspended') return "it is suspended: wake it first ('virsh dompmwakeup')"
  return SAVED_FROM.includes(status) ? undefined : `it is in QEMU's state '${status}'`
}

/** Of the QEMU that has it. Errors: QemuError. */
export const qemuVersionOf = async (qmp: QmpCommands): Promise<QemuVersion> =>
  versionOf(await askOf(qmp)(v.object({ ...VersionSchema.entries }), 'query-version'))

const LOOK_MS = 20

/** Errors (QemuError): it failed, in QEMU's words; it takes longer than `timeoutMs`. */
export async function awaitEnd(qmp: QmpCommands, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const { status, 'error-desc': reason } = await queryMigration(qmp)
    if (status === 'completed') return
    if (isFinal(status)) throw new QemuError(reason ?? `the migration was ${status}`)
    if (performance.now() > deadline)
      throw new QemuError(`the migration did not end within ${formatTimeout(timeoutMs)}`)
    await sleep(LOOK_MS)
  }
}

const LIBVIRT_PAUSE_MS = 500

/**
 * Waits for libvirt's daemon, which may come up after this command was started. Errors (QemuError): it does
 * not answer within `timeoutMs`.
 */
export async function waitForLibvirt(run: Virsh, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    try {
      await activeUuids(run, [], Math.max(1000, deadline - performance.now()))
      return
    } catch (error) {
      const reason = errorText(error)
      if (reason === 'virsh is not installed' || performance.now() > deadline)
        throw new QemuError(`libvirt does not answer: ${reason}`, { cause: error })
    }
    await sleep(LIBVIRT_PAUSE_MS)
  }
}

/**
 * Returns what releases it. Errors (UsageError): another command updates or resumes the domain, /run takes no
 * files. `folder` is for tests.
 */
export async function lockDomain(uuid: string, folder = LIBVIRT_PATHS.starts): Promise<() => void> {
  const lock = await lockBriefly(join(ensureFolder(folder), `${uuid}.lock`))
  if (lock === undefined) throw new UsageError('another update of it is under way')
  return () => close(lock)
}
