/**
 * The host-wide lock of a resumption after a kernel update, shared by the guests of one command. The command
 * releases it while all guests that are left wait for the host, as for a pool that is not mounted yet: so one
 * guest's late pool delays no guest of another command, which mounts another pool.
 */
import { bootId } from '../../linux/boot-id.ts'
import type { PoolMount } from '../../pool/pool-view.ts'
import { lockUpdates, waitForUpdates } from '../../run/update-lock.ts'
import { readUpdateRecord } from './update-record.ts'

type Release = () => void

export class ResumptionLock {
  readonly #take: () => Promise<Release>
  /** How many need it: guests, and the command itself. */
  #users = 1
  #taking: Promise<Release> | undefined

  private constructor(take: () => Promise<Release>, held: Release) {
    this.#take = take
    this.#taking = Promise.resolve(held)
  }

  /**
   * Locks updates out where one has left its record. In the next kernel this waits for another command that
   * resumes the guests of another pool, as each mount at boot starts one; in the same kernel an update may be
   * under way. Errors: UsageError.
   */
  static async take(mounts: readonly PoolMount[]): Promise<ResumptionLock> {
    const records = mounts.flatMap(({ mountPoint }) => readUpdateRecord(mountPoint) ?? [])
    if (records.length === 0)
      return new ResumptionLock(
        async () => () => {},
        () => {},
      )
    const isSameKernel = records.some((record) => record.bootId === bootId())
    return new ResumptionLock(waitForUpdates, isSameKernel ? lockUpdates() : await waitForUpdates())
  }

  /** `guests` need it from now on; the caller calls `leave` at the end of each, and of its own work. */
  join(guests: number): void {
    this.#users += guests
  }

  /** Errors (UsageError): another command does not release it. */
  async enter(): Promise<void> {
    this.#users++
    this.#taking ??= this.#take()
    try {
      await this.#taking
    } catch (error) {
      this.#users--
      this.#taking = undefined
      throw error
    }
  }

  /** Releases it where no guest and no command needs it any more. */
  leave(): void {
    this.#users--
    if (this.#users > 0) return
    // No caller of `enter` waits for it: such a caller counts.
    void this.#taking?.then((release) => release())
    this.#taking = undefined
  }

  /**
   * Runs `wait`, which must not reject, without the lock. Errors: those of `enter`; the caller still calls
   * `leave`.
   */
  async withoutLock(wait: () => Promise<void>): Promise<void> {
    this.leave()
    await wait()
    await this.enter().catch((error: unknown) => {
      this.#users++
      throw error
    })
  }
}
