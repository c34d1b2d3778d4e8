/**
 * The guests of a kernel update that their agents suspend (ACPI S3) before any guest is saved: all at once,
 * while the others run, since it takes each of them seconds.
 */
import type { TriedLines } from '../../qemu/carry/next-line.ts'
import { GuestStoppedError } from '../../qemu/save.ts'
import type { Asleep } from '../../qemu/sleep/goes-on.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import { errorText, UsageError } from '../../values/errors.ts'
import { type HeldLock, holdLock, sleepVm } from '../guest/suspend-vm.ts'

interface SleepingGuest {
  readonly vm: Vm
  readonly lock: HeldLock
  /** undefined: whether it is suspended is not known, or it was so by itself. */
  readonly asleep: Asleep | undefined
}

export class SleepingGuests {
  readonly #guests = new Map<string, SleepingGuest>()

  /**
   * Those of `vms` that the preflight found to sleep. Errors (UsageError): one did not suspend; each of the
   * others has by then, or has failed.
   */
  async suspend(vms: readonly Vm[], lines: TriedLines, timeoutMs: number): Promise<void> {
    const failures: string[] = []
    await Promise.all(
      vms.map(async (vm) => {
        const { name } = vm.definition
        if (lines.get(name)?.sleeps !== true) return
        let lock: HeldLock | undefined
        try {
          lock = await holdLock(vm)
          this.#guests.set(name, { vm, lock, asleep: await sleepVm(vm, timeoutMs) })
        } catch (error) {
          // Held until `rollBack` has woken it.
          if (error instanceof GuestStoppedError && lock !== undefined)
            this.#guests.set(name, { vm, lock, asleep: undefined })
          else lock?.release()
          failures.push(`VM ${name}: ${errorText(error)}`)
        }
      }),
    )
    if (failures.length > 0) throw new UsageError(failures.join('; '))
  }

  /** The guest is the caller's from here on, with its lock; undefined: it is none of these. */
  take(name: string): SleepingGuest | undefined {
    const guest = this.#guests.get(name)
    this.#guests.delete(name)
    return guest
  }

  /** As `take`, of all that are left. */
  takeAll(): readonly SleepingGuest[] {
    const guests = [...this.#guests.values()]
    this.#guests.clear()
    return guests
  }
}
