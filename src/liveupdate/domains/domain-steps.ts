/**
 * What a kernel update does with domains of libvirt between the load and the jump: save all of them at once,
 * look for new ones, end their QEMUs, and undo all that. Must not: jump.
 */
import { type ActiveDomain, hasActiveDomain } from '../../libvirt/active-domains.ts'
import type { DomainDescription } from '../../libvirt/describe-domain.ts'
import { readDomainRecord } from '../../libvirt/domain-record.ts'
import { lockDomain } from '../../libvirt/domain-state.ts'
import { endSavedQemu, isStillStopped } from '../../libvirt/end-domain.ts'
import { lookAgain } from '../../libvirt/look-again.ts'
import { type DomainTools, REAL_TOOLS, saveDomain } from '../../libvirt/save-domain.ts'
import { activeUuids, VirshLateError } from '../../libvirt/virsh.ts'
import { GuestStoppedError } from '../../qemu/save.ts'
import { BrokenInvariantError, errorText, UsageError } from '../../values/errors.ts'
import type { Patience } from '../guest/suspend-vm.ts'
import { nowMs, type VmTimeline } from '../report/timeline.ts'
import { endsLater, resumeDomainGuest, untouchedDomain } from './domain-guest.ts'

export interface DomainScope {
  /** Those that are saved. */
  readonly domains: readonly ActiveDomain[]
  /** UUIDs of all that ran when the update was planned. */
  readonly known: readonly string[]
  /** Left out: this host's. */
  readonly tools?: DomainTools
}

/** Under its update lock. */
interface ReadyDomain {
  readonly domain: ActiveDomain
  readonly release: () => void
}

interface HeldDomain extends ReadyDomain {
  /** undefined: it is stopped, and not saved. */
  readonly savedAtMs: number | undefined
}

export class DomainSteps {
  readonly #scope: DomainScope
  readonly #tools: DomainTools
  /** Of which none is saved yet. */
  readonly #ready: ReadyDomain[] = []
  readonly #held: HeldDomain[] = []
  /** Why libvirt may yet end the QEMU of a saved one, by its UUID. */
  readonly #ending = new Map<string, string>()

  constructor(scope: DomainScope) {
    this.#scope = scope
    this.#tools = scope.tools ?? REAL_TOOLS
  }

  /**
   * Locks all and looks at each once more, before any guest is saved: it takes longer than a save. Returns
   * one line for each that cannot be saved any more.
   */
  async lookAgain(): Promise<string[]> {
    const failures: string[] = []
    await Promise.all(
      this.#scope.domains.map(async (planned) => {
        let release: (() => void) | undefined
        try {
          release = await lockDomain(planned.about.uuid, this.#tools.starts)
          this.#ready.push({ domain: await lookAgain(planned, this.#tools), release })
        } catch (error) {
          release?.()
          failures.push(`VM ${planned.about.name}: ${errorText(error)}`)
        }
      }),
    )
    return failures
  }

  /**
   * All that `lookAgain` has found, at once. Returns one line for each that could not be saved: it runs on,
   * or `rollBack` continues it.
   */
  async suspendAll({ timeoutMs, patienceMs }: Patience): Promise<string[]> {
    if (this.#ready.length < this.#scope.domains.length)
      throw new BrokenInvariantError('domains are to be saved that were not looked at')
    const failures: string[] = []
    await Promise.all(
      this.#ready.splice(0).map(async ({ domain, release }) => {
        try {
          await saveDomain({ domain, timeoutMs, patienceMs, onStep: () => {}, tools: this.#tools })
          this.#held.push({ domain, release, savedAtMs: nowMs() })
        } catch (error) {
          if (error instanceof GuestStoppedError) this.#held.push({ domain, release, savedAtMs: undefined })
          else release()
          failures.push(`VM ${domain.about.name}: ${errorText(error)}`)
        }
      }),
    )
    return failures
  }

  /** When each domain of a mount was saved, by name. */
  savedAtMs(mountPoint: string): [string, number][] {
    return this.#held.flatMap(({ domain, savedAtMs }) =>
      domain.mountPoint === mountPoint && savedAtMs !== undefined ? [[domain.about.name, savedAtMs]] : [],
    )
  }

  /**
   * Errors (UsageError): a domain was started since the plan, and would end unsaved. QemuError: no answer.
   */
  async checkNoNewDomain(): Promise<void> {
    if (!hasActiveDomain()) return
    const late = (await activeUuids(this.#tools.run)).find((uuid) => !this.#scope.known.includes(uuid))
    if (late !== undefined)
      throw new UsageError(`domain ${late} of libvirt was started while the update was under way: try again`)
  }

  /**
   * For a jump for which systemd stops libvirt's guests first, each in its own time. Errors (UsageError): a
   * QEMU is still there. By then libvirt has answered for all of them, or `rollBack` leaves the domain alone:
   * a guest must not be continued in a QEMU that libvirt is ending.
   */
  async endQemus(): Promise<void> {
    const failures = await this.#ofEach(async ({ uuid, name }) => {
      await endSavedQemu(uuid, this.#tools).catch((error: unknown) => {
        if (error instanceof VirshLateError) this.#ending.set(uuid, endsLater(name, error))
        throw error
      })
    })
    if (failures.length > 0) throw new UsageError(failures.join('; '))
  }

  /** Returns one line for each that does not have its guest as it was saved any more: `rollBack` then. */
  async checkStillStopped(): Promise<string[]> {
    return await this.#ofEach(async ({ uuid }) => void (await isStillStopped(uuid, this.#tools)))
  }

  /** At once. Returns one line for each that fails, when all have come to their end. */
  async #ofEach(work: (about: DomainDescription) => Promise<void>): Promise<string[]> {
    const lines = this.#held.map(({ domain: { about } }) =>
      work(about).then(
        () => [],
        (error: unknown) => [`VM ${about.name}: ${errorText(error)}`],
      ),
    )
    return (await Promise.all(lines)).flat()
  }

  /** Continues each, wherever its save ended. Never rejects. */
  async rollBack(timeoutMs: number, originMs: number): Promise<VmTimeline[]> {
    for (const { release } of this.#ready.splice(0)) release()
    return await Promise.all(
      this.#held.map(async ({ domain, release }) => {
        try {
          const ending = this.#ending.get(domain.about.uuid)
          if (ending !== undefined) return untouchedDomain(domain, 'saved', ending)
          const record = readDomainRecord(domain.about.uuid, this.#tools.records)
          if (record === undefined) return untouchedDomain(domain, 'stranded', 'its record is gone')
          const context = { timeoutMs, originMs, onPhase: () => {}, tools: this.#tools }
          const result = await resumeDomainGuest(record, context, true)
          return result.outcome === 'resumed' ? { ...result, outcome: 'rolled-back' as const } : result
        } catch (error) {
          return untouchedDomain(domain, 'stranded', errorText(error))
        } finally {
          release()
        }
      }),
    )
  }
}
