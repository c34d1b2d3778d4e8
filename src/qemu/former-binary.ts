/**
 * The program of a QEMU that runs, where its path names another one by now, as after an upgrade of its
 * package: the file is there as long as the process is (`/proc/PID/exe`), and after it only in a copy.
 */
import { chmodSync, constants, copyFileSync, readFileSync, rmSync, statSync } from 'node:fs'
import { errnoOfNodeError } from '../linux/library.ts'
import { vmPaths } from '../run/vm-runtime.ts'
import { MIB } from '../values/units.ts'

/** QEMU has some tens of megabytes. */
const MOST_BYTES = 256 * MIB

/**
 * A copy of what `pid` executes, which is a program of root's: what a guest's owner has made of the process
 * is none that root keeps, or starts. undefined: `path` is the same file still, or was a script that put its
 * own words before those on record, or the copy could not be made (a full /run): then there is no way back to
 * it.
 */
export function keepFormerBinary(name: string, pid: number, path: string): string | undefined {
  const { formerBinary } = vmPaths(name)
  const exe = `/proc/${pid}/exe`
  try {
    const [now, then] = [statSync(path, { throwIfNoEntry: false }), statSync(exe)]
    if (now !== undefined && now.dev === then.dev && now.ino === then.ino) return undefined
    if (then.uid !== 0 || (then.mode & 0o022) !== 0 || then.size > MOST_BYTES) return undefined
    const [program] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    if (program !== path) return undefined
    rmSync(formerBinary, { force: true })
    copyFileSync(exe, formerBinary, constants.COPYFILE_EXCL)
    chmodSync(formerBinary, 0o755)
    return formerBinary
  } catch (error) {
    errnoOfNodeError(error)
    return undefined
  }
}

/** The process that was started from it keeps the file. */
export function forgetFormerBinary(name: string): void {
  rmSync(vmPaths(name).formerBinary, { force: true })
}
