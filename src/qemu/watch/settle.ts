/**
 * What the watcher does when a VM's QEMU has ended: the commands after it, and the removal of its records.
 * The record of a guest that ended by itself goes; that of one that was saved, or whose QEMU was killed,
 * stays. Where the end cannot be known, as where no watcher ran, it stays as well.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { close } from '../../linux/descriptors.ts'
import type { ProcessEnd } from '../../linux/process.ts'
import { isSameProcess, type ProcessIdentity } from '../../run/process-identity.ts'
import { readRuntime, removeRuntime, tryLock, vmPaths } from '../../run/vm-runtime.ts'
import type { Fd } from '../../values/ids.ts'
import { runHook } from '../hooks.ts'
import { endRecord } from '../ram-claims.ts'
import { endLeftOver } from '../successor/left-over.ts'
import { readDefinition, type VmDefinition } from '../vm-definition.ts'

const LOOK_MS = 20
/** Each look takes the update lock for a moment, which a command may want. */
const START_LOOK_MS = 100

export interface EndedQemu {
  readonly name: string
  readonly qemu: ProcessIdentity
  /** undefined: not known. */
  readonly end: ProcessEnd | undefined
  /** Its standard output and error. */
  readonly streams: readonly [number, number] | undefined
}

/**
 * Resolves when it is done, or when the guest is another QEMU's: an update that was under way. Waits for the
 * command that has the VM's update lock, and for a process that has the VM's lock: it is about to be the next
 * QEMU, also where the command that started it was killed. Never rejects.
 */
export async function settle(ended: EndedQemu): Promise<void> {
  const { name, qemu } = ended
  const isAnothers = (): boolean => !isOnRecord(name, qemu)
  for (;;) {
    const update = await lockUnless(name, isAnothers)
    if (update === undefined) return
    const own = tryLock(vmPaths(name).lock)
    try {
      if (isAnothers()) return
      if (own !== undefined) return await settleLocked(ended, update)
    } catch {
      // Its pool is frozen or gone, or /run is full: the record stays, and says that no QEMU runs.
      return
    } finally {
      if (own !== undefined) close(own)
      close(update)
    }
    await sleep(START_LOOK_MS)
  }
}

/** With both locks of the VM; `update`: its update lock. */
async function settleLocked({ name, end, streams }: EndedQemu, update: Fd): Promise<void> {
  const definition = definitionOf(name)
  await endLeftOver(name)
  for (const command of definition?.after ?? [])
    if (definition !== undefined)
      await runHook(definition, command, [0, streams?.[0] ?? 1, streams?.[1] ?? 2])
  const isOver = end !== undefined && end.signal === null
  if (isOver && definition?.saved === null) endRecord(definition)
  removeRuntime(name, update)
}

/** Ends what a command that was killed has left of an update. Never rejects. */
export async function settleUpdate(name: string): Promise<void> {
  const isClean = (): boolean => {
    const { successor, predecessor } = readRuntime(name) ?? {}
    return successor === undefined && predecessor === undefined
  }
  const lock = await lockUnless(name, isClean)
  if (lock === undefined) return
  await endLeftOver(name).catch(() => {})
  close(lock)
}

/** The VM's update lock; undefined: `isIdle` has become true meanwhile. */
async function lockUnless(name: string, isIdle: () => boolean): Promise<Fd | undefined> {
  for (;;) {
    if (isIdle()) return undefined
    const lock = tryLock(vmPaths(name).updateLock)
    if (lock !== undefined) return lock
    await sleep(LOOK_MS)
  }
}

function isOnRecord(name: string, qemu: ProcessIdentity): boolean {
  const now = readRuntime(name)?.qemu
  return now != null && isSameProcess(now, qemu)
}

/** As it is on record now, of that VM. */
export function definitionOf(name: string): VmDefinition | undefined {
  const runtime = readRuntime(name)
  try {
    const definition = runtime && readDefinition(runtime.ramFile)
    return definition?.name === name ? definition : undefined
  } catch {
    return undefined
  }
}
