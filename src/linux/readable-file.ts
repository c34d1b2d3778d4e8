/** Files that need not be there, or not for this user, as many of procfs and sysfs. */
import { readFileSync } from 'node:fs'
import { errnoOfNodeError } from './library.ts'

/** undefined: it is not there, or not readable for this process. */
export function readIfReadable(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    errnoOfNodeError(error)
    return undefined
  }
}

/** Empty where it is not there, or not readable for this process. */
export const textIfReadable = (path: string): string => readIfReadable(path)?.toString() ?? ''
