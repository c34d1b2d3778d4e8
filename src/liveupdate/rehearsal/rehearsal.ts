/**
 * The rehearsal of an update: what it would do with each guest, and for how long each would be stopped. A
 * plain value, for operators and scripts.
 */
import type { Finding } from '../../values/finding.ts'
import type { KernelPlan } from '../kernel/kernel-plan.ts'
import type { ExpectedBlackout } from './expected-blackout.ts'
import type { RehearsedLoad } from './rehearse-load.ts'

/**
 * `carried`: it goes on in its next QEMU. `refused`: it cannot be updated; a new kernel is then refused for
 * all. `left`: the operator leaves it, and it ends with this kernel. `lost`: it would end with this kernel,
 * as nothing carries it.
 */
export const GUEST_FATES = ['carried', 'refused', 'left', 'lost'] as const
export type GuestFate = (typeof GUEST_FATES)[number]

export interface RehearsedGuest {
  readonly name: string
  /** null: it has no RAM in a pool. */
  readonly mountPoint: string | null
  readonly ramBytes: number | null
  readonly fate: GuestFate
  /** `paused`: its processors do not run, and stay so. `saved`: it has no QEMU now. */
  readonly state: 'running' | 'paused' | 'saved'
  /** Of one that is not carried; one line. */
  readonly why: string | null
  /** As of `VmTimeline`. */
  readonly quitFirst?: string | null
  /** null: it is not stopped, or no report tells. */
  readonly expected: ExpectedBlackout | null
}

export interface Rehearsal {
  readonly kind: 'kernel' | 'vmm-only'
  /** The update would begin, and leave out no guest that it is about. */
  readonly isReady: boolean
  /** Of an update of the kernel. */
  readonly plan: KernelPlan | null
  readonly load: RehearsedLoad | null
  readonly guests: readonly RehearsedGuest[]
  readonly findings: readonly Finding[]
}
