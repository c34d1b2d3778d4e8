/** Files of procfs and sysfs that need not be there, or not for this user. */
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
