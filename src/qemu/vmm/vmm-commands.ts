/**
 * The commands `--save` and `--cancel` of a guest of another VMM than QEMU (docs/reference/contract.md). They
 * run as the guest's user, in its directory, with its environment. Must not: write a record.
 */
import type { Base } from '../../linux/beneath.ts'
import { isAlive, type ProcessIdentity } from '../../run/process-identity.ts'
import { QemuError } from '../../values/errors.ts'
import { runHook } from '../hooks.ts'
import { GuestStoppedError } from '../save.ts'
import { measureStateFile, type SavedState } from '../saved-state.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { NO_QEMU_VERSION, vmmEnvironment } from './vmm-launch.ts'

/** What its commands need of a guest's record. */
export type VmmGuest = Pick<
  VmDefinition,
  'name' | 'cwd' | 'uid' | 'gid' | 'groups' | 'environment' | 'statePath' | 'vmm'
>

export interface VmmProcess {
  /** The program that has the guest. */
  readonly vmm: ProcessIdentity
  /** For what the commands print. */
  readonly streams: readonly [number, number, number]
  /** For each command. */
  readonly timeoutMs: number
}

/**
 * Runs `--save`. Its state file is there, and empty. Returns what was saved. Errors (QemuError,
 * CorruptBytesError): it failed, was not in time, or there is no state. `base` is for tests.
 */
export async function runSave(guest: VmmGuest, process: VmmProcess, base?: Base): Promise<SavedState> {
  const { statePath: path } = guest
  const began = performance.now()
  const stoppedAtMs = Date.now()
  const failed = await run(guest, 'save', process)
  if (failed !== undefined) throw new QemuError(failed)
  const leftMs = Math.max(1, process.timeoutMs - (performance.now() - began))
  const measured = await measureStateFile(path, leftMs, base)
  return { path, ...measured, wasRunning: true, stoppedAtMs, qemuVersion: NO_QEMU_VERSION }
}

/** Runs `--cancel`: the guest goes on in its program. Errors: GuestStoppedError. */
export async function runCancel(guest: VmmGuest, process: VmmProcess): Promise<void> {
  if (!isAlive(process.vmm)) throw new GuestStoppedError('its program has ended')
  const failed = await run(guest, 'cancel', process)
  if (failed !== undefined) throw new GuestStoppedError(failed)
}

/**
 * Returns why it failed; undefined: it did not. A signal to this process does not reach the command: only
 * `timeoutMs` ends it before it has finished.
 */
async function run(
  guest: VmmGuest,
  what: 'save' | 'cancel',
  { vmm, streams, timeoutMs }: VmmProcess,
): Promise<string | undefined> {
  const hooked = { ...guest, environment: vmmEnvironment(guest, vmm.pid) }
  const failed = await runHook(hooked, guest.vmm?.[what] ?? 'false', streams, timeoutMs, 'finish')
  return failed === undefined ? undefined : `--${what} ${failed}`
}
