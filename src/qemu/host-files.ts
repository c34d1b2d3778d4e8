/**
 * The mounts and devices of its host that a guest's QEMU had when it was saved. Early in the next boot a path
 * of its line leads to another file, or to none, until they are there: what lies below a mount is hidden by
 * it later. Must not: open a file, or ask a file system other than /dev's for one, which may not answer while
 * guests are stopped.
 */
import * as v from 'valibot'
import { type Mount, mountHolding, mountTable } from '../linux/mounts.ts'
import { openFiles } from '../linux/open-files.ts'
import { deviceAt, isReadyDevice } from '../linux/ready-device.ts'

export const HostFilesSchema = v.object({
  /** Mount points, without the root and that of the pool with the guest's record. */
  mounts: v.array(v.string()),
  /** Paths in /dev, and as of `Device`: a disk that is still to be assembled has fewer. */
  devices: v.array(v.object({ path: v.string(), sectors: v.nullable(v.number()) })),
})
export type HostFiles = v.InferOutput<typeof HostFilesSchema>

/** Of the next QEMU. */
export interface HostPlace {
  readonly argv: readonly string[]
  readonly cwd: string
  /** Of the pool with the guest's record. */
  readonly mountPoint: string
}

/** QEMU opens them where its line names no file. */
const UNNAMED_DEVICES = ['/dev/kvm', '/dev/net/tun', '/dev/vhost-net', '/dev/vhost-vsock']

/**
 * Of a QEMU that runs, and of the line of the next one: what it has open shows where symlinks lead, the line
 * also what a QEMU reads at its start alone. `table`: the mounts that it sees.
 */
export function readHostFiles(
  pid: number,
  { argv, cwd, mountPoint }: HostPlace,
  table: readonly Mount[] = mountTable(),
): HostFiles {
  const open = (openFiles(pid) ?? []).map(({ path }) => path).filter(isInFileSystem)
  const named = argv.flatMap(pathsIn)
  const targets = [cwd, ...open, ...named].flatMap((path) => mountHolding(path, table)?.target ?? [])
  // Where only root makes names.
  const isInDev = (path: string): boolean => mountHolding(path, table)?.target === '/dev'
  const devices = [...named.filter(isInDev), ...open.filter((path) => UNNAMED_DEVICES.includes(path))]
  const isOther = (target: string): boolean => target !== '/' && target !== mountPoint
  return {
    mounts: unique(targets.filter(isOther)),
    devices: unique(devices).flatMap((path) => {
      const device = deviceAt(path)
      return device === undefined ? [] : [{ path, sectors: device.sectors }]
    }),
  }
}

const unique = (paths: readonly string[]): string[] => [...new Set(paths)].toSorted()

/** A link of /proc/PID/fd to a file that has a name: no memfd, socket or file that was removed. */
const isInFileSystem = (path: string): boolean => path.startsWith('/') && !path.endsWith(' (deleted)')

/** Absolute paths in a word of the line: the word itself, or values in it, as JSON has them as well. */
const pathsIn = (word: string): string[] =>
  [...word.matchAll(/(?:^|[=,:"])(\/[^,"]*)/g)].map(([, path = '']) => path)

/** Those that are not there now. */
export function missingHostFiles({ mounts, devices }: HostFiles): HostFiles {
  const targets = new Set(mountTable().map(({ target }) => target))
  return {
    mounts: mounts.filter((mount) => !targets.has(mount)),
    devices: devices.filter((device) => !isReadyDevice(device)),
  }
}
