/**
 * Character device nodes: made with their owner in one step, read, removed. Only for devtmpfs or tmpfs: on a
 * FUSE file system a device-dax node can crash the kernel (dax_open, drivers/dax/device.c).
 */
import { chmodSync, chownSync, lstatSync, renameSync, unlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ENOENT, ENOTDIR, type Errno } from '../values/errno.ts'
import { PERMISSION_BITS, S_IFCHR, S_IFMT } from '../values/uapi.ts'
import { errnoOfNodeError, errnoUnlessZero, libcCall } from './library.ts'

const mknod = libcCall('mknod', 'int', ['str', 'uint', 'ulong'])

/** As sysfs and /proc write it: `MAJOR:MINOR`. */
export type DeviceNumber = `${number}:${number}`

export interface NodeOwner {
  readonly uid: number
  readonly gid: number
  /** Permission bits, 07777. */
  readonly mode: number
}

/**
 * Makes `path` a node of `device` for `owner`, in place of whatever has the name. No process ever sees it
 * with another owner or mode. Errors: ENOENT (no such folder), EPERM, ENOSPC, EROFS; then what has the name
 * is as it was.
 */
export function makeDeviceNode(path: string, device: DeviceNumber, owner: NodeOwner): Errno | undefined {
  // A dot and no digit first: no finished node has such a name.
  const unready = join(dirname(path), `.new-${basename(path)}`)
  try {
    const isInTheWay = removeNode(unready)
    if (isInTheWay) return isInTheWay
    const failed = errnoUnlessZero(mknod(unready, S_IFCHR, deviceWord(device)))
    if (failed) return failed
    chownSync(unready, owner.uid, owner.gid)
    chmodSync(unready, owner.mode & PERMISSION_BITS)
    renameSync(unready, path)
    return undefined
  } catch (error) {
    return errnoOfNodeError(error)
  }
}

export interface DeviceNode extends NodeOwner {
  readonly device: DeviceNumber
}

/** The character device node at `path`; undefined: there is none. Errors: those of lstat(2). */
export function readDeviceNode(path: string): DeviceNode | Errno | undefined {
  try {
    const { mode, uid, gid, rdev } = lstatSync(path)
    return (mode & S_IFMT) === S_IFCHR
      ? { device: deviceNumber(rdev), uid, gid, mode: mode & PERMISSION_BITS }
      : undefined
  } catch (error) {
    return unlessGone(errnoOfNodeError(error))
  }
}

/** ENOTDIR: its folder is gone, and something else has that name. */
const unlessGone = (errno: Errno): Errno | undefined =>
  errno === ENOENT || errno === ENOTDIR ? undefined : errno

/**
 * A process that has it open keeps it open. No error where it is gone already. Errors: those of unlink(2), as
 * EROFS; then it is there.
 */
export function removeNode(path: string): Errno | undefined {
  try {
    unlinkSync(path)
    return undefined
  } catch (error) {
    return unlessGone(errnoOfNodeError(error))
  }
}

/** dev_t as glibc has it (gnu_dev_makedev): 12 + 20 bits of major, 8 + 24 bits of minor. */
export function deviceWord(device: DeviceNumber): bigint {
  const [major, minor] = device.split(':').map((part) => BigInt(part)) as [bigint, bigint]
  return (
    ((major & 0xfffn) << 8n) |
    ((major & 0xffff_f000n) << 32n) |
    (minor & 0xffn) |
    ((minor & 0xffff_ff00n) << 12n)
  )
}

/** Node returns st_rdev as a number; device numbers in use are far below 2^53. */
export function deviceNumber(rdev: number): DeviceNumber {
  const word = BigInt(rdev)
  const major = ((word >> 8n) & 0xfffn) | ((word >> 32n) & 0xffff_f000n)
  const minor = (word & 0xffn) | ((word >> 12n) & 0xffff_ff00n)
  return `${Number(major)}:${Number(minor)}`
}
