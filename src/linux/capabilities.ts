/** The capabilities of this process. Numbers: include/uapi/linux/capability.h. */
import { readFileSync } from 'node:fs'

export const CAP_SYS_PTRACE = 19n
export const CAP_SYS_ADMIN = 21n
export const CAP_SYS_BOOT = 22n

/**
 * Why other processes do not show this one what they have open and map, for the end of a sentence; undefined:
 * they do (ptrace_may_access, kernel/ptrace.c), but for what a security module keeps to itself.
 */
export const missingTrace = (): string | undefined =>
  hasCapability(CAP_SYS_PTRACE) ? undefined : 'this process has no CAP_SYS_PTRACE'

/** Whether it is in the effective set. */
export function hasCapability(capability: bigint): boolean {
  const status = readFileSync('/proc/self/status', 'latin1')
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`)
  return ((effective >> capability) & 1n) === 1n
}
