/**
 * The search for the processes that have a character device open or mapped. By device number, since a
 * container has nodes of its own. Needs root, and sees the processes of its own pid namespace and those below
 * it, which pid-namespace.ts checks to be all; a descriptor that is queued in a socket, or registered with
 * io_uring alone, cannot be found.
 *
 * It sends no file system a request: statx(2) with AT_STATX_DONT_SYNC answers from what the kernel has
 * cached, also for a file on a guestmemfs mount. NFS alone revalidates what a link of /proc leads to
 * (nfs_weak_revalidate, fs/nfs/dir.c), so a dead NFS server can block the caller, which must not be the
 * thread that serves requests.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { EACCES } from '../values/errno.ts'
import { S_IFCHR, S_IFMT } from '../values/uapi.ts'
import type { DeviceNumber } from './device-node.ts'
import { errnoOfNodeError, libcCall } from './library.ts'

const statx = libcCall('statx', 'int', ['int', 'str', 'int', 'uint', 'void *'])

const AT_FDCWD = -100
const AT_NO_AUTOMOUNT = 0x800
const AT_STATX_DONT_SYNC = 0x4000
/** struct statx, include/uapi/linux/stat.h. */
const STATX = { sizeBytes: 256, mode: 28, rdevMajor: 128, rdevMinor: 132 } as const

/** A pass may miss a process that is forked meanwhile: then another one follows, this many at most. */
const MAX_PASSES = 5
/** A process may change its mappings after the list of them was read, and before one is. */
const MAX_LOOKS = 3

export interface Holder {
  readonly pid: number
  /** The program's name, as `ps` shows it; for messages. */
  readonly program: string
  /** This process may not read what that one maps, which therefore counts as a holder. */
  readonly isUnreadable?: true
}

type Held<What> = Map<What, Holder>

/**
 * Which of `devices` a process holds, and one holder of each. No process held a device that is not in the
 * answer: two passes in a row, or one during which no process was forked, found none. Only a holder can make
 * another one (by fork or by passing a descriptor), as long as no node leads to the device. A process counts
 * as a holder if this one may not read its mappings, or if they change all the time.
 */
export function findHolders(
  devices: ReadonlySet<DeviceNumber>,
  proc = '/proc',
  onTask?: () => void,
): Held<DeviceNumber> {
  return lookForHolders(devices, devicesOf, proc, onTask)
}

/**
 * The same for anything that a task can hold: `ask` returns what it holds, undefined where that cannot be
 * read. `onTask` is called for each task, so that the caller can tell a long search from one that hangs.
 */
export function lookForHolders<What>(
  devices: ReadonlySet<What>,
  ask: (task: string) => ReadonlySet<What> | undefined,
  proc: string,
  onTask?: () => void,
): Held<What> {
  const held: Held<What> = new Map()
  const countedAsk = (task: string) => {
    onTask?.()
    return ask(task)
  }
  let clean = 0
  let unclear: Holder | undefined
  for (let pass = 0; pass < MAX_PASSES && held.size < devices.size; pass++) {
    const forks = forkCount(proc)
    const found = held.size
    unclear = lookOnce(devices, countedAsk, proc, held)
    clean = held.size > found || unclear !== undefined ? 0 : clean + 1
    if (clean === 2 || (clean === 1 && forkCount(proc) === forks)) return held
  }
  if (unclear !== undefined) for (const device of devices) if (!held.has(device)) held.set(device, unclear)
  return held
}

/** A process that does not show this one what it has open or maps, if there is one. */
export const unreadableProcess = (proc = '/proc'): Holder | undefined =>
  lookOnce(new Set(), devicesOf, proc, new Map())

/** Adds to `held`. Returns a process whose mappings could not be read, if there is one. */
function lookOnce<What>(
  devices: ReadonlySet<What>,
  ask: (task: string) => ReadonlySet<What> | undefined,
  proc: string,
  held: Held<What>,
): Holder | undefined {
  let unclear: Holder | undefined
  for (const name of list(proc)) {
    if (!/^\d+$/.test(name)) continue
    const holder = () => ({ pid: Number(name), program: readWhileAlive(join(proc, name, 'comm')).trim() })
    for (const task of tasksToAsk(join(proc, name))) {
      const found = ask(task)
      if (found === undefined) unclear = { ...holder(), isUnreadable: true }
      for (const device of found ?? [])
        if (devices.has(device) && !held.has(device)) held.set(device, holder())
    }
  }
  return unclear
}

/** Character devices that a task has open or mapped; undefined where that cannot be read. */
function devicesOf(task: string): Set<DeviceNumber> | undefined {
  const found = new Set<DeviceNumber>()
  const add = (path: string): boolean => {
    const device = characterDevice(path)
    if (device !== undefined && device !== 'gone') found.add(device)
    return device !== 'gone'
  }
  try {
    for (const fd of list(join(task, 'fd'))) add(join(task, 'fd', fd))
    for (let look = 0; look < MAX_LOOKS; look++) {
      const ranges = sharedFileMappings(readWhileAlive(join(task, 'maps')))
      if (ranges.filter((range) => !add(join(task, 'map_files', range))).length === 0) return found
    }
    return undefined
  } catch (error) {
    if (errnoOfNodeError(error) === EACCES) return undefined
    throw error
  }
}

/**
 * Threads share memory and, nearly always, descriptors: the first one is looked at for all of them, unless it
 * has ended before the others did. A thread with descriptors of its own shows its mappings all the same.
 */
function tasksToAsk(process: string): string[] {
  if (!/^State:\s+[ZX]/m.test(readWhileAlive(join(process, 'status')))) return [process]
  const running = list(join(process, 'task')).filter(
    (tid) => !/^State:\s+[ZX]/m.test(readWhileAlive(join(process, 'task', tid, 'status'))),
  )
  // /proc/TID is there for every thread, though it is not listed.
  return running.slice(0, 1).map((tid) => join(process, '..', tid))
}

/**
 * `START-END` of one mapping of each file that is mapped shared: device-dax allows no other (check_vma,
 * drivers/dax/device.c).
 */
function sharedFileMappings(maps: string): string[] {
  const byFile = new Map<string, string>()
  for (const line of maps.split('\n')) {
    const [range, permissions, , device, inode] = line.split(/\s+/, 5)
    if (range !== undefined && permissions?.[3] === 's' && inode !== '0')
      byFile.set(`${device} ${inode}`, range)
  }
  return [...byFile.values()]
}

const buffer = new Uint8Array(STATX.sizeBytes)
const words = new DataView(buffer.buffer)

/** Undefined: it is no character device. `gone`: there is no such file any more. */
export function characterDevice(path: string): DeviceNumber | 'gone' | undefined {
  // SAFETY: statx writes one struct statx of 256 bytes, which is what `buffer` is.
  if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, 0, buffer) !== 0) return 'gone'
  if ((words.getUint16(STATX.mode, true) & S_IFMT) !== S_IFCHR) return undefined
  return `${words.getUint32(STATX.rdevMajor, true)}:${words.getUint32(STATX.rdevMinor, true)}`
}

/** Processes forked since boot. */
const forkCount = (proc: string): string =>
  /^processes (\d+)$/m.exec(readWhileAlive(join(proc, 'stat')))?.[1] ?? String(Math.random())

/** A process that ends during the pass holds nothing any more. */
const list = (path: string): string[] => unlessEnded(() => readdirSync(path)) ?? []
export const readWhileAlive = (path: string): string => unlessEnded(() => readFileSync(path, 'latin1')) ?? ''

function unlessEnded<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    const errno = errnoOfNodeError(error)
    if (errno.name === 'ENOENT' || errno.name === 'ESRCH' || errno.name === 'ENOTDIR') return undefined
    throw error
  }
}
