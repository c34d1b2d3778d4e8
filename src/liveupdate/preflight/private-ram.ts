/**
 * What RAM that is in no pool does to an update: QEMU writes it into the state file while the guest stands
 * still, and no faster than its limit for migrations. Must not: ask QEMU.
 */
import { MAX_STATE_BYTES } from '../../qemu/saved-state.ts'
import { formatSize } from '../../values/size.ts'

export interface PrivateRam {
  readonly bytes: number
  /** QEMU's `max-bandwidth`, bytes a second; 0: no limit. */
  readonly bytesPerSecond: number
  /** Of the state file besides it. */
  readonly stateBytes: number
  /** How long other guests stand still for this one's save (`--patience`); undefined: none does. */
  readonly patienceMs: number | undefined
}

export interface PrivateRamWords {
  /** Why the guest cannot be updated. */
  readonly problems: readonly string[]
  /** What a person is to know before it is paused. */
  readonly remarks: readonly string[]
}

/** One line at most. */
export function privateRamWords(ram: PrivateRam): PrivateRamWords {
  const { bytes, bytesPerSecond, stateBytes, patienceMs } = ram
  if (bytes === 0) return { problems: [], remarks: [] }
  const what = `${formatSize(bytes)} of its RAM are private`
  const mend = 'give it files of a pool (memory-backend-file with share=on)'
  if (stateBytes + bytes > MAX_STATE_BYTES)
    return {
      problems: [`${what}, and a state file takes ${formatSize(MAX_STATE_BYTES)} at most: ${mend}`],
      remarks: [],
    }
  if (bytesPerSecond === 0)
    return { problems: [], remarks: [`${what}: it stands still while they are written`] }
  const seconds = bytes / bytesPerSecond
  const time = `${seconds.toFixed(1)} s or more, at ${formatSize(bytesPerSecond)} a second (max-bandwidth)`
  if (patienceMs !== undefined && seconds * 1000 >= patienceMs)
    return {
      problems: [
        `${what}, and are written for ${time}, while the other guests wait ${patienceMs / 1000} s for it (--patience): raise one of the two, or ${mend}`,
      ],
      remarks: [],
    }
  return { problems: [], remarks: [`${what}: it stands still while they are written, ${time}`] }
}
