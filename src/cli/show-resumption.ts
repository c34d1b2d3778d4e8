/** `resume`, `mount --resume` and `live-update --abort` resume saved VMs with the same options. */
import type { EarlyGuests } from '../liveupdate/guest/early-result.ts'
import { resumeSaved } from '../liveupdate/resume-saved.ts'
import { timeoutOption } from './options.ts'
import { qemuOption } from './qemu-option.ts'
import { updateView } from './show-update.ts'

/** As typed. */
export interface ResumeOptions {
  readonly mount?: string
  readonly qemu?: string
  readonly timeout: string
  readonly json?: true
}

/** `names`, `early`: as of `Resumption`. Returns the exit status. Errors: UsageError. */
export async function showResumption(
  names: readonly string[],
  options: ResumeOptions,
  early?: EarlyGuests,
): Promise<number> {
  const { mount: named, qemu, timeout, json } = options
  const resumption = { names, named, nextQemu: qemuOption(qemu), timeoutMs: timeoutOption(timeout), early }
  return await resumeSaved(resumption, updateView(json === true))
}
