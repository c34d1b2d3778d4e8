/**
 * The reading of a VM's machine right after its start, kept beside its runtime record with the identity of
 * the QEMU that was read. It shows what the recorded command line made, and ends with that QEMU.
 */
import { readFileSync, rmSync } from 'node:fs'
import * as v from 'valibot'
import { errnoOfNodeError } from '../../linux/library.ts'
import { replaceFile } from '../../run/atomic-file.ts'
import { parseRecord } from '../../run/parse-record.ts'
import { isSameProcess, type ProcessIdentity, ProcessSchema } from '../../run/process-identity.ts'
import { liveQemu, vmPaths } from '../../run/vm-runtime.ts'
import type { Fd } from '../../values/ids.ts'
import { QmpClient } from '../qmp-client.ts'
import { ramFileOf, type VmDefinition } from '../vm-definition.ts'
import { isGuests } from './device-tree.ts'
import { readMachine } from './read-machine.ts'
import { type Reading, ReadingSchema } from './reading.ts'

const KeptSchema = v.object({ format: v.literal(1), qemu: ProcessSchema, reading: ReadingSchema })
/** Of any version. */
const AnyKeptSchema = v.object({ format: v.number(), qemu: ProcessSchema, reading: v.looseObject({}) })
/** A QEMU that was just started may still be making its devices. */
const START_TIMEOUT_MS = 60_000
const READ_TIMEOUT_MS = 30_000

/**
 * Where a reading cannot be kept (a full /run), the former QEMU's is removed, as it would be wrong: the
 * preflight then reports that changes are not known.
 */
export function keepReading(name: string, qemu: ProcessIdentity, reading: Reading): void {
  const { machine } = vmPaths(name)
  try {
    replaceFile(machine, JSON.stringify({ format: 1, qemu, reading }), 0o600)
  } catch (error) {
    errnoOfNodeError(error)
    rmSync(machine, { force: true })
  }
}

/** undefined: this QEMU was not read at its start, such as one that a former version started. */
export function readingAtStart(name: string, qemu: ProcessIdentity): Reading | undefined {
  try {
    const kept = v.parse(KeptSchema, JSON.parse(readFileSync(vmPaths(name).machine, 'utf8')))
    if (!isSameProcess(kept.qemu, qemu)) return undefined
    const { items } = kept.reading
    return {
      ...kept.reading,
      items: { ...items, devices: items.devices?.filter((item) => !isGuests(item)) ?? [] },
    }
  } catch {
    return undefined
  }
}

/**
 * One line where the VM's kept reading is cut off or no reading at all: what was changed while it ran is not
 * known. undefined: it is whole, another version's, or there is none.
 */
export function readingProblem(name: string): string | undefined {
  const { machine } = vmPaths(name)
  let text: string
  try {
    text = readFileSync(machine, 'utf8')
  } catch {
    return undefined
  }
  if (parseRecord(AnyKeptSchema, text) !== undefined) return undefined
  return `what was changed while it ran is not known, as ${machine} is damaged: to update it all the same, remove that file`
}

/**
 * Reads and keeps the machine of a QEMU that was just started, over `first`, the first connection that it
 * accepts: it takes one at a time, so no command has changed the machine before. Closes it. Never rejects:
 * for a QEMU that ends at once, or does not answer, none is kept.
 */
export async function readAtStart(name: string, qemu: ProcessIdentity, first: Fd): Promise<void> {
  let qmp: QmpClient | undefined
  try {
    qmp = await QmpClient.over(first, vmPaths(name).qmp, START_TIMEOUT_MS)
    // Other clients of this QMP wait meanwhile, and the guest's owner may have started a QEMU that answers
    // without end.
    qmp.endWithin(READ_TIMEOUT_MS, 'not read in time')
    keepReading(name, qemu, await readMachine(qmp))
  } catch {
    // The preflight reports that there is none.
  } finally {
    qmp?.close()
  }
}

/** As `readAtStart`, over `qmp`. */
export async function readAfterLoad(definition: VmDefinition, qmp: QmpClient): Promise<void> {
  const { name } = definition
  const qemu = liveQemu(name, ramFileOf(definition))
  if (qemu === undefined) return
  await readMachine(qmp).then(
    (reading) => keepReading(name, qemu, reading),
    () => rmSync(vmPaths(name).machine, { force: true }),
  )
}
