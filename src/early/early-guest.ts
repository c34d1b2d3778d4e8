/**
 * One saved guest before its pool is mounted: its RAM behind a node, its state in a memfd, and its QEMU,
 * which loads that and goes on. RAM and state are what the server would give, byte for byte.
 */
import { crc32 } from 'node:zlib'
import { close } from '../linux/descriptors.ts'
import { resize, tryMemfdCreate, writeAllAt } from '../linux/memory.ts'
import { openFiles } from '../linux/open-files.ts'
import type { EarlyResult, EarlyStep } from '../liveupdate/guest/early-result.ts'
import { nowMs } from '../liveupdate/report/timeline.ts'
import { endQemu } from '../qemu/end-qemu.ts'
import { completeLoad } from '../qemu/load-and-continue.ts'
import type { RamBlock } from '../qemu/machine/reading.ts'
import { isInside } from '../qemu/memory-backends.ts'
import type { QmpClient } from '../qemu/qmp-client.ts'
import { continueGuest, loadSaved, prepareLoad } from '../qemu/restore.ts'
import { CONSUMED } from '../qemu/saved-state.ts'
import { type BeforeMount, STATE_PATH, startSaved } from '../qemu/start/start-saved.ts'
import { isWoken, ramFileOf, type VmDefinition } from '../qemu/vm-definition.ts'
import { waitForQmp } from '../qemu/wait-for-qmp.ts'
import { liveQemu, makeVmDirectory, tryLock, vmPaths } from '../run/vm-runtime.ts'
import type { EarlyRegion } from '../stores/driver.ts'
import { BLOCK_BYTES } from '../stores/store.ts'
import { Errno } from '../values/errno.ts'
import { QemuError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { PUD_BYTES } from '../values/units.ts'
import type { SavedGuest } from './saved-guests.ts'

export interface EarlyGuest extends SavedGuest {
  readonly beforeMount: BeforeMount
}

export interface EarlyLimits {
  /** For each step. */
  readonly timeoutMs: number
  /** Aborted: no mark is written any more, and no guest goes on. */
  readonly withdrawn: AbortSignal
}

/** undefined: its state is not what was saved, or the kernel refuses a step; the resumption says which. */
export function reachGuest(region: EarlyRegion, guest: SavedGuest): EarlyGuest | undefined {
  const { definition, saved, ram, object, stateFile } = guest
  const bytes = region.read(stateFile.extents, saved.sizeBytes)
  if (bytes instanceof Errno || crc32(bytes) !== saved.crc32) return undefined
  const { uid, gid, mode, sizeBytes, gigantic } = ram
  const path = region.reach(object, ram, { uid, gid, mode })
  if (path instanceof Errno) return undefined
  const state = memfdOf(bytes)
  if (state instanceof Errno) return undefined
  const map = { by: 'dax-node', sizeBytes, alignBytes: gigantic ? PUD_BYTES : BLOCK_BYTES } as const
  return {
    ...guest,
    beforeMount: { mappings: definition.ramFiles.map(({ id }) => ({ id, map, path })), state },
  }
}

function memfdOf(bytes: Uint8Array): Fd | Errno {
  const fd = tryMemfdCreate('guestmemfs:state', { sealable: false })
  if (fd instanceof Errno) return fd
  const failed = writeAllAt(fd, 0, bytes)
  if (failed === undefined) return fd
  close(fd)
  return failed
}

/**
 * Starts the guest's QEMU, which loads the state, and lets the guest go on if it ran. Holds the VM's update
 * lock meanwhile. Never rejects: where anything fails before the guest goes on, that QEMU has ended when this
 * resolves. undefined: the guest did not go on.
 */
export async function continueEarly(
  region: EarlyRegion,
  guest: EarlyGuest,
  limits: EarlyLimits,
): Promise<EarlyResult | undefined> {
  const { definition, beforeMount } = guest
  const { name } = definition
  let lock: Fd | undefined
  try {
    makeVmDirectory(name)
    lock = tryLock(vmPaths(name).updateLock)
    // A VM of that name runs, or another command has this one.
    if (lock === undefined || liveQemu(name) !== undefined) return undefined
    return await startAndContinue(region, guest, limits)
  } catch {
    return undefined
  } finally {
    // QEMU has a descriptor of it: what it has read is not needed any more.
    resize(beforeMount.state, 0)
    close(beforeMount.state)
    if (lock !== undefined) close(lock)
  }
}

async function startAndContinue(
  region: EarlyRegion,
  { definition, saved, beforeMount, stateFile }: EarlyGuest,
  { timeoutMs, withdrawn }: EarlyLimits,
): Promise<EarlyResult | undefined> {
  const { name } = definition
  const steps: EarlyStep[] = []
  const done = (step: EarlyStep[0], atMs = nowMs()): void => void steps.push([step, atMs])
  done('wait')
  let qmp: QmpClient | undefined
  let unset: readonly string[]
  try {
    const started = await startSaved(definition, timeoutMs, beforeMount)
    qmp = await waitForQmp({ name, ...started, timeoutMs, onStarted: () => done('launch') })
    done('start')
    checkNoneBelow(name, definition.mountPoint)
    await prepareLoad(qmp)
    await loadSaved(qmp, { ...saved, path: STATE_PATH }, timeoutMs)
    unset = await completeLoad(qmp, definition, liveQemu(name)?.pid, (ram) =>
      lostEarly(ram, definition, beforeMount),
    )
    done('load')
  } catch {
    qmp?.close()
    await endQemu(name, ramFileOf(definition))
    return undefined
  }
  try {
    // A guest that was paused stays so, and need not go on before the mount: the resumption finds it in this
    // QEMU, which has the state. There it continues a withdrawn one, too.
    if (!saved.wasRunning || withdrawn.aborted) return undefined
    // From here on no QEMU loads the state again, whichever process ends next.
    if (region.write(stateFile.extents, CONSUMED) !== undefined) return undefined
    done(
      'continue',
      await continueGuest(qmp, {
        wasRunning: true,
        wakes: isWoken(definition),
        wasSuspended: saved.isSuspended === true,
      }),
    )
    return { steps, unset }
  } finally {
    qmp.close()
  }
}

/** Errors (QemuError): its QEMU has a file open that the mount will hide, by a symlink that leads there. */
function checkNoneBelow(name: string, mountPoint: string): void {
  const files = openFiles(liveQemu(name)?.pid ?? 0)
  if (files === undefined || files.some(({ path }) => isInside(path, mountPoint)))
    throw new QemuError(`VM ${name} needs its mount`)
}

/** As `lostRam`, by the nodes that QEMU was given: there is no mount to ask. */
function lostEarly(
  ram: readonly RamBlock[],
  { ramFiles }: VmDefinition,
  { mappings }: BeforeMount,
): string[] {
  const isRight = ({ id, path, isShared, sizeBytes }: RamBlock): boolean =>
    !isShared ||
    (mappings.some((each) => each.id === id && each.path === path) &&
      ramFiles.some((file) => file.id === id && file.sizeBytes === sizeBytes))
  const missing = ramFiles.filter(({ id }) => !ram.some((block) => block.id === id && block.isShared))
  return [
    ...ram.filter((block) => !isRight(block)).map(({ id }) => `its RAM '${id}' is not as recorded`),
    ...missing.map(({ id }) => `its QEMU has no RAM '${id}'`),
  ]
}
