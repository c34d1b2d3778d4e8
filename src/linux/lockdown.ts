/** The kernel's lockdown mode (security/lockdown/lockdown.c). */
import { readFileSync } from 'node:fs'
import { errnoOfNodeError } from './library.ts'

/** `none`, `integrity` or `confidentiality`; undefined where there is no lockdown. */
export function kernelLockdown(path = '/sys/kernel/security/lockdown'): string | undefined {
  try {
    return /\[(\w+)\]/.exec(readFileSync(path, 'latin1'))?.[1]
  } catch (error) {
    errnoOfNodeError(error)
    return undefined
  }
}
