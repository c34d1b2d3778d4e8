/**
 * The program of a running QEMU whose path names another file by now, as after an upgrade of its package. The
 * kernel keeps the old file as long as the process runs (`/proc/PID/exe`); after that only a copy is left.
 */
import { chmodSync, constants, copyFileSync, readFileSync, rmSync, statSync } from 'node:fs'
import { errnoOfNodeError } from '../linux/library.ts'
import { vmPaths } from '../run/vm-runtime.ts'
import { MIB } from '../values/units.ts'

/** QEMU has some tens of megabytes. */
const MOST_BYTES = 256 * MIB

/**
 * A copy of the program that `pid` executes, if it is root's alone: the guest's owner may have the process
 * execute another, which root must neither keep nor start. undefined: `path` is the same file still, or the
 * process was not started by that path (a script that executes QEMU), or the copy could not be made (a full
 * /run). Then an update cannot be rolled back to the former program.
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

/** A process that was started from the copy goes on: the kernel keeps its file. */
export function removeFormerBinary(name: string): void {
  rmSync(vmPaths(name).formerBinary, { force: true })
}
