/**
 * A domain of libvirt as one guest of an update or a resumption: its steps on the clock of the report, and
 * the result. No function here rejects: what goes wrong is in the result.
 */
import type { ActiveDomain } from '../../libvirt/active-domains.ts'
import { type DomainRecord, readDomainRecord } from '../../libvirt/domain-record.ts'
import { lockDomain, waitForLibvirt } from '../../libvirt/domain-state.ts'
import { endSavedQemu } from '../../libvirt/end-domain.ts'
import { DomainStrandedError, type LoadedDomain, loadDomain } from '../../libvirt/load-domain.ts'
import { lookAgain } from '../../libvirt/look-again.ts'
import { resumeDomain } from '../../libvirt/resume-domain.ts'
import { cancelDomainSave, type DomainTools, REAL_TOOLS, saveDomain } from '../../libvirt/save-domain.ts'
import { VirshLateError } from '../../libvirt/virsh.ts'
import { GuestStoppedError } from '../../qemu/save.ts'
import { ramBytesOf } from '../../qemu/vm-definition.ts'
import { errorText } from '../../values/errors.ts'
import type { VmRequest } from '../guest/vm-result.ts'
import { type Phase, PhaseClock, type VmOutcome, type VmTimeline } from '../report/timeline.ts'

export interface DomainContext {
  /** For each step. */
  readonly timeoutMs: number
  /** Of the whole update, milliseconds since the epoch. */
  readonly originMs: number
  readonly onPhase: (phase: Phase) => void
  /** Called before anything is changed. Errors (UsageError): the update is to end. */
  readonly check?: (() => void) | undefined
  readonly tools?: DomainTools
}

interface DomainTimes {
  readonly name: string
  readonly ramBytes: number
  readonly clock: PhaseClock
  readonly qemuBefore: string
  readonly stateBytes: number
}

function timeline(
  { name, ramBytes, clock, qemuBefore, stateBytes }: DomainTimes,
  outcome: VmOutcome,
  problem: string | null,
  loaded?: LoadedDomain,
): VmTimeline {
  const runs = outcome === 'updated' || outcome === 'resumed'
  return {
    name,
    ramBytes,
    outcome,
    problem,
    qemuBefore,
    qemuAfter: loaded?.qemuVersion ?? null,
    stateBytes,
    phases: clock.phases,
    blackoutUs: runs ? clock.blackoutUs : null,
  }
}

/** The result of a domain to which nothing was done here, with the reason. */
export const untouchedDomain = (
  { about, ram }: ActiveDomain,
  outcome: Extract<VmOutcome, 'refused' | 'stranded' | 'saved'>,
  words: string,
): VmTimeline =>
  timeline(
    {
      name: about.name,
      ramBytes: ramBytesOf({ ramFiles: ram }),
      clock: new PhaseClock(0),
      qemuBefore: '',
      stateBytes: 0,
    },
    outcome,
    words,
  )

/** Words of `unset`, or null. */
const remarkOf = ({ unset }: LoadedDomain): string | null => (unset.length === 0 ? null : unset.join('; '))

/** The replacement of its QEMU: libvirt ends the old one and starts the `<emulator>` that is there now. */
export async function replaceDomain(planned: ActiveDomain, context: DomainContext): Promise<VmTimeline> {
  const { timeoutMs, originMs, onPhase, check, tools = REAL_TOOLS } = context
  const { name, uuid } = planned.about
  const clock = new PhaseClock(originMs)
  let times: DomainTimes = {
    name,
    ramBytes: ramBytesOf({ ramFiles: planned.ram }),
    clock,
    qemuBefore: '',
    stateBytes: 0,
  }
  const ended = (phase: Phase): void => {
    clock.ended(phase)
    onPhase(phase)
  }
  let release: (() => void) | undefined
  try {
    release = await lockDomain(uuid, tools.starts)
    check?.()
    const record = await saveDomain({
      domain: await lookAgain(planned, tools),
      timeoutMs,
      tools,
      onStep: (step, atMs) => (step === 'stop' ? clock.stopped(atMs as number) : ended(step)),
    })
    times = { ...times, qemuBefore: record.qemuVersion, stateBytes: record.saved?.sizeBytes ?? 0 }
    return await startAgain(record, times, ended, { timeoutMs, tools })
  } catch (error) {
    const isStopped = error instanceof GuestStoppedError
    const advice = isStopped ? `: try 'guestmemfs resume --name ${name}'` : ''
    return timeline(times, isStopped ? 'stranded' : 'rolled-back', `${errorText(error)}${advice}`)
  } finally {
    release?.()
  }
}

/** From the end of its old QEMU on. Errors: its old QEMU has it, as of `saveDomain`. */
async function startAgain(
  record: DomainRecord,
  times: DomainTimes,
  ended: (phase: Phase) => void,
  { timeoutMs, tools }: { readonly timeoutMs: number; readonly tools: DomainTools },
): Promise<VmTimeline> {
  const { name } = times
  try {
    await endOldQemu(record, tools)
  } catch (error) {
    if (!(error instanceof VirshLateError)) throw error
    return timeline(times, 'saved', endsLater(name, error))
  }
  ended('quit')
  try {
    const loaded = await loadDomain({ record, timeoutMs, tools, onStep: ended })
    return timeline(times, 'updated', remarkOf(loaded), loaded)
  } catch (error) {
    const isStranded = error instanceof DomainStrandedError
    const advice = isStranded
      ? `try 'guestmemfs resume --name ${name}'`
      : `go on with 'guestmemfs resume --name ${name}'`
    return timeline(
      times,
      isStranded ? 'stranded' : 'saved',
      `${errorText(error)}; its RAM is kept: ${advice}`,
    )
  }
}

/** Of a saved guest whose QEMU libvirt may yet end: it must not run on in that. */
export const endsLater = (name: string, error: VirshLateError): string =>
  `${errorText(error)}, and libvirt may end its QEMU yet; its RAM is kept: when that has ended, go on with 'guestmemfs resume --name ${name}'`

/** Errors: libvirt did not end it, and the guest runs on in it; VirshLateError: as of `endSavedQemu`. */
async function endOldQemu(record: DomainRecord, tools: DomainTools): Promise<void> {
  try {
    await endSavedQemu(record.uuid, tools)
  } catch (error) {
    if (error instanceof VirshLateError) throw error
    await cancelDomainSave(record, tools).catch((cause: unknown) => {
      throw new GuestStoppedError(`${errorText(error)}; and it could not be continued: ${errorText(cause)}`, {
        cause,
      })
    })
    throw error
  }
}

/** libvirt's daemon may come up later than this command, as at boot. */
const LIBVIRT_TIMEOUT_MS = 180_000

interface ResumeContext extends DomainContext {
  /** As of `VmRequest`. */
  readonly withoutLock?: VmRequest['withoutLock']
  /** For libvirt's daemon to answer. */
  readonly libvirtTimeoutMs?: number
}

/** What `wait` rejects with, or `withoutLock`. */
async function waitWithoutLock(
  withoutLock: ResumeContext['withoutLock'],
  wait: () => Promise<void>,
): Promise<void> {
  if (withoutLock === undefined) return await wait()
  let failed: unknown
  await withoutLock(() =>
    wait().catch((error: unknown) => {
      failed = error
    }),
  )
  if (failed !== undefined) throw failed
}

/** `isLocked`: the caller holds the domain's lock. */
export async function resumeDomainGuest(
  record: DomainRecord,
  { timeoutMs, originMs, onPhase, withoutLock, libvirtTimeoutMs, tools = REAL_TOOLS }: ResumeContext,
  isLocked = false,
): Promise<VmTimeline> {
  const { name, uuid, saved, wasRunning, qemuVersion, ram } = record
  const clock = new PhaseClock(originMs)
  const times = {
    ...{ name, clock },
    ramBytes: ramBytesOf({ ramFiles: ram }),
    qemuBefore: saved?.qemuVersion ?? qemuVersion,
    stateBytes: saved?.sizeBytes ?? 0,
  }
  if (saved !== null && wasRunning) clock.stopped(saved.stoppedAtMs)
  let release: (() => void) | undefined
  try {
    await waitWithoutLock(withoutLock, () =>
      waitForLibvirt(tools.run, libvirtTimeoutMs ?? LIBVIRT_TIMEOUT_MS),
    )
    if (!isLocked) release = await lockDomain(uuid, tools.starts)
    if (saved !== null) clock.ended('wait')
    const onStep = (phase: Phase): void => {
      clock.ended(phase)
      onPhase(phase)
    }
    // This reads the record anew under the lock: another command may have resumed the domain meanwhile.
    const now = readDomainRecord(uuid, tools.records)
    if (now === undefined) return timeline(times, 'resumed', null)
    const loaded = await resumeDomain({ record: now, timeoutMs, tools, onStep })
    return timeline(times, 'resumed', remarkOf(loaded), loaded)
  } catch (error) {
    const isStranded = error instanceof DomainStrandedError
    return timeline(times, isStranded ? 'stranded' : 'saved', `${errorText(error)}; its RAM is kept`)
  } finally {
    release?.()
  }
}
