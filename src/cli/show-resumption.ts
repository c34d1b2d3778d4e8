/** `resume`, `mount --resume` and `live-update --abort` resume saved VMs with the same options. */
import type { EarlyGuests } from '../liveupdate/guest/early-result.ts'
import { type Resumption, resumeSaved } from '../liveupdate/resume-saved.ts'
import { timeoutOption } from './options.ts'
import { qemuOption } from './qemu-option.ts'
import { type Collected, updateView } from './show-update.ts'

/** As typed. */
export interface ResumeOptions {
  readonly qemu?: string
  readonly timeout: string
}

/**
 * `which`, `early`: as of `Resumption`; `collects`: as of `updateView`. Returns the exit status. Errors:
 * UsageError.
 */
export async function showResumption(
  which: Pick<Resumption, 'named' | 'names'>,
  options: ResumeOptions,
  collects: Collected | undefined,
  early?: EarlyGuests,
): Promise<number> {
  const { qemu, timeout } = options
  const resumption = { ...which, nextQemu: qemuOption(qemu), timeoutMs: timeoutOption(timeout), early }
  return await resumeSaved(resumption, updateView(collects))
}
