/**
 * The cost of RAM that is in no pool: in an update QEMU writes it into the state file while the guest is
 * stopped. Must not: ask QEMU.
 */
import { MAX_STATE_BYTES } from '../../qemu/saved-state.ts'
import { formatSize } from '../../values/size.ts'

export interface PrivateRamCheck {
  /** Why the guest cannot be updated. */
  readonly problems: readonly string[]
  /** What the operator must know before the guest is stopped. */
  readonly remarks: readonly string[]
}

/** One line at most. `bytes`: of such RAM; `stateBytes`: of the state file besides it. */
export function checkPrivateRam(bytes: number, stateBytes: number): PrivateRamCheck {
  if (bytes === 0) return { problems: [], remarks: [] }
  const what = `${formatSize(bytes)} of its RAM are private`
  if (stateBytes + bytes > MAX_STATE_BYTES)
    return {
      problems: [
        `${what}, and a state file takes ${formatSize(MAX_STATE_BYTES)} at most: give it files of a pool (memory-backend-file with share=on)`,
      ],
      remarks: [],
    }
  return { problems: [], remarks: [`${what}: it is stopped while QEMU writes them`] }
}
