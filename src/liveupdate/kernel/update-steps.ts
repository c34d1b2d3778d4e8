/**
 * The steps of a kernel update between the load and the jump: have agents suspend their guests, save all
 * guests at once, freeze the pools, preserve memory, write the record for the next kernel. Until the jump
 * every step can be undone. Must not: jump.
 */

import { randomUUID } from 'node:crypto'
import { bootId } from '../../linux/boot-id.ts'
import { measureClockOffset } from '../../linux/rtc.ts'
import { type PoolMount, setFrozen } from '../../pool/pool-view.ts'
import { requestHandover, requestUnpreserve } from '../../pool/request-handover.ts'
import type { TriedLines } from '../../qemu/carry/next-line.ts'
import { GuestStoppedError } from '../../qemu/save.ts'
import { ramFileOf } from '../../qemu/vm-definition.ts'
import { readVms, type Vm } from '../../qemu/vm-list.ts'
import { errorText, UsageError } from '../../values/errors.ts'
import type { HandoverStep } from '../../values/handover-step.ts'
import { type DomainScope, DomainSteps } from '../domains/domain-steps.ts'
import { resumeVm } from '../guest/resume-vm.ts'
import { type HeldLock, holdLock, type SuspendedVm, suspendVm, whyNotSuspended } from '../guest/suspend-vm.ts'
import type { SurvivesBy } from '../preflight/pool-facts.ts'
import { nowMs, type VmTimeline } from '../report/timeline.ts'
import { vmMounts } from '../vm-mounts.ts'
import { SleepingGuests } from './sleeping-guests.ts'
import { removeUpdateRecord, type UpdateRecord, writeUpdateRecord } from './update-record.ts'

export interface UpdateScope {
  readonly vms: readonly Vm[]
  /** As of `VmBatch`. */
  readonly lines: TriedLines
  /** RAM files that had a VM's record when the update was planned. */
  readonly recorded: readonly string[]
  readonly pools: readonly (PoolMount & { readonly by: SurvivesBy })[]
  /** For each step of each VM. */
  readonly timeoutMs: number
  /** As in `suspendVm`. */
  readonly patienceMs: number
  /** Guests that the operator leaves: they are not saved. */
  readonly left: readonly string[]
  /** Domains of libvirt; left out: there are none. */
  readonly libvirt?: DomainScope
  /** From, to and how, for the record. */
  readonly change: Pick<UpdateRecord, 'via' | 'before' | 'next'>
}

export class UpdateSteps {
  readonly #id = randomUUID()
  readonly #scope: UpdateScope
  readonly #startedAtMs: number
  readonly #domains: DomainSteps | undefined
  readonly #suspended: (SuspendedVm & HeldLock)[] = []
  /** Guests neither saved nor running: `rollBack` tries to continue them again. */
  readonly #stopped: ({ readonly vm: Vm } & HeldLock)[] = []
  /** Suspended by their agents, and not saved yet. */
  readonly #sleeping = new SleepingGuests()
  readonly #frozen: string[] = []
  #rtc: UpdateRecord['rtc'] = null
  #frozenAtMs: number | undefined

  constructor(scope: UpdateScope, startedAtMs: number) {
    this.#scope = scope
    this.#startedAtMs = startedAtMs
    this.#domains = scope.libvirt && new DomainSteps(scope.libvirt)
  }

  /** Takes up to a second. */
  async readClock(): Promise<void> {
    this.#rtc = (await measureClockOffset()) ?? null
  }

  /** Errors: as of `SleepingGuests`. */
  async sleepAll(): Promise<void> {
    const { vms, lines, timeoutMs } = this.#scope
    await this.#sleeping.suspend(vms, lines, timeoutMs)
  }

  /**
   * All at once. Errors (UsageError): one could not be saved; each of the others has been saved or has failed
   * by then.
   */
  async suspendAll(): Promise<void> {
    const { vms, lines, timeoutMs, patienceMs } = this.#scope
    const changed = (await this.#domains?.lookAgain()) ?? []
    if (changed.length > 0) throw new UsageError(changed.join('; '))
    const failures: string[] = []
    const ofDomains = this.#domains?.suspendAll({ timeoutMs, patienceMs }) ?? []
    await Promise.all(
      vms.map(async (vm) => {
        const { name } = vm.definition
        const sleeping = this.#sleeping.take(name)
        let lock = sleeping?.lock
        try {
          lock ??= await holdLock(vm)
          const patience = { timeoutMs, patienceMs }
          const suspended = await suspendVm(vm, lines.get(name), patience, sleeping?.asleep)
          this.#suspended.push({ ...suspended, ...lock })
        } catch (error) {
          const isStopped = error instanceof GuestStoppedError || sleeping !== undefined
          // This process holds the lock until `rollBack` continues the guest: no other command must take it
          // for one that an update left.
          if (isStopped && lock !== undefined) this.#stopped.push({ vm, ...lock })
          else lock?.release()
          failures.push(`VM ${name}: ${errorText(error)}`)
        }
      }),
    )
    failures.push(...(await ofDomains))
    if (failures.length > 0) throw new UsageError(failures.join('; '))
  }

  freeze(): void {
    for (const pool of this.#scope.pools) if (setFrozen(pool, true)) this.#frozen.push(pool.mountPoint)
    if (this.#luoPools.length > 0) this.#frozenAtMs = nowMs()
  }

  /**
   * Looks for a guest that was started since the plan, which would end unsaved. No VM can be recorded in a
   * frozen pool any more, so none is started after this. Errors (UsageError): there is one.
   */
  async checkNoNewGuest(): Promise<void> {
    const saved = new Set(this.#suspended.map(({ vm }) => ramFileOf(vm.definition)))
    const known = new Set(this.#scope.recorded)
    const { mounts, problems } = vmMounts(undefined)
    const { vms, problems: unread } = readVms(mounts.flatMap(({ recorded }) => recorded))
    if (problems.length + unread.length > 0) throw new UsageError([...problems, ...unread].join('; '))
    const late = vms.find(({ definition, state }) => {
      const ramFile = ramFileOf(definition)
      if (this.#scope.left.includes(definition.name)) return false
      return !saved.has(ramFile) && (state === 'running' || !known.has(ramFile))
    })
    if (late !== undefined)
      throw new UsageError(`VM ${late.definition.name} was started while the update was under way: try again`)
    await this.#domains?.checkNoNewDomain()
  }

  /** Where systemd ends what runs before the jump: it would ask each guest of libvirt to shut down. */
  async endDomains(): Promise<void> {
    await this.#domains?.endQemus()
  }

  /**
   * The last step before the jump, at which all can still be undone. Errors (UsageError): a saved guest was
   * continued by another client of its QEMU. The next kernel would load its state over newer RAM and disks.
   */
  async checkStillStopped(): Promise<void> {
    const ofDomains = this.#domains?.checkStillStopped() ?? []
    const ofVms = this.#suspended.map(async (suspended) => {
      const why = await whyNotSuspended(suspended, this.#scope.patienceMs)
      return why === undefined ? [] : [`VM ${suspended.vm.definition.name}: ${why}`]
    })
    const continued = [...(await Promise.all(ofVms)).flat(), ...(await ofDomains)]
    if (continued.length > 0) throw new UsageError(continued.join('; '))
  }

  /** One step, at once for all pools that LUO hands over. Errors (UsageError): it failed for one. */
  async preserve(step: HandoverStep): Promise<void> {
    await Promise.all(this.#luoPools.map((pool) => requestHandover(pool, step)))
  }

  get #luoPools(): readonly PoolMount[] {
    return this.#scope.pools.filter(({ by }) => by === 'luo')
  }

  /**
   * systemd ends QEMUs when it stops the machine; the watcher of all guests looks at a VM then when its
   * update lock is free.
   */
  releaseLocks(): void {
    for (const { release } of this.#suspended) release()
  }

  /** The times so far, in each pool. May be written again, also when it is frozen. Errors: UsageError. */
  writeUpdateRecord(): void {
    const { pools, change, left } = this.#scope
    const record = {
      format: 1,
      id: this.#id,
      ...change,
      bootId: bootId(),
      startedAtMs: this.#startedAtMs,
      rtc: this.#rtc,
      ...(this.#frozenAtMs !== undefined && { frozenAtMs: this.#frozenAtMs }),
      ...(left.length > 0 && { left: [...left] }),
      jumpAtMs: nowMs(),
    } as const
    for (const { mountPoint } of pools) {
      const theirs = this.#suspended.filter(({ vm }) => vm.definition.mountPoint === mountPoint)
      const savedAtMs = [
        ...theirs.map(({ vm, savedAtMs }) => [vm.definition.name, savedAtMs] as const),
        ...(this.#domains?.savedAtMs(mountPoint) ?? []),
      ]
      writeUpdateRecord(mountPoint, { ...record, savedAtMs: Object.fromEntries(savedAtMs) })
    }
  }

  /**
   * Undoes the steps that were done. Never rejects: the timeline of a guest that could not be continued says
   * so.
   */
  async rollBack(): Promise<VmTimeline[]> {
    const { pools, timeoutMs } = this.#scope
    for (const pool of this.#luoPools) requestUnpreserve(pool)
    for (const pool of pools) {
      if (this.#frozen.includes(pool.mountPoint)) tryTo(() => setFrozen(pool, false))
      removeUpdateRecord(pool.mountPoint)
    }
    const ofDomains = this.#domains?.rollBack(timeoutMs, this.#startedAtMs) ?? []
    for (const { vm, lock } of this.#sleeping.takeAll()) this.#stopped.push({ vm, ...lock })
    const ofVms = await Promise.all(
      [...this.#suspended, ...this.#stopped].map(async ({ vm, release, isReleased }) => {
        const request = { vm, nextQemu: undefined, timeoutMs, originMs: this.#startedAtMs }
        const result = await resumeVm({ ...request, isLocked: !isReleased(), onPhase: () => {} })
        release()
        return result.outcome === 'resumed' ? { ...result, outcome: 'rolled-back' as const } : result
      }),
    )
    return [...ofVms, ...(await ofDomains)]
  }
}

/** A step that cannot be undone shows in the guests' timelines; the rest must be undone all the same. */
function tryTo(step: () => unknown): void {
  try {
    step()
  } catch {
    // Each guest's own result says whether it runs.
  }
}
