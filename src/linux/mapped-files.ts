/**
 * Whether a process has a certain file mapped as memory that it shares and may write. By inode or device: the
 * paths in /proc/PID/maps are names that the process's user has chosen, spaces included. Source:
 * show_map_vma(), fs/proc/task_mmu.c; of a file that FUSE passes through, it shows the file's own inode
 * (file_user_inode(), since Linux 6.8).
 */
import type { Stats } from 'node:fs'
import { join } from 'node:path'
import { type DeviceNumber, deviceWord } from './device-node.ts'
import { characterDevice, readWhileAlive } from './holders.ts'

/** Also false where there is no such process, or this one may not look into it. */
export const mapsFile = (pid: number, { dev, ino }: Pick<Stats, 'dev' | 'ino'>, proc = '/proc'): boolean =>
  writableMappings(pid, proc).some(
    ({ device, inode }) => inode === String(ino) && deviceWord(device) === BigInt(dev),
  )

/** The same of a character device, whichever node of it the process has opened. */
export const mapsDevice = (pid: number, device: DeviceNumber, proc = '/proc'): boolean =>
  writableMappings(pid, proc).some(
    ({ range }) => characterDevice(join(proc, String(pid), 'map_files', range)) === device,
  )

interface WritableMapping {
  /** As /proc/PID/map_files names it. */
  readonly range: string
  /** That the file's inode is on. */
  readonly device: DeviceNumber
  readonly inode: string
}

/** `START-END PERMISSIONS OFFSET DEVICE INODE PATH`; the device in hexadecimal. */
function writableMappings(pid: number, proc: string): WritableMapping[] {
  return mapsOf(pid, proc)
    .split('\n')
    .flatMap((line) => {
      const [range = '', permissions = '', , device = '', inode = '0'] = line.split(/\s+/, 5)
      if (permissions[1] !== 'w' || permissions[3] !== 's' || inode === '0') return []
      const [major, minor] = device.split(':').map((text) => Number.parseInt(text, 16))
      return [{ range, device: `${major ?? 0}:${minor ?? 0}` as const, inode }]
    })
}

function mapsOf(pid: number, proc: string): string {
  try {
    return readWhileAlive(join(proc, String(pid), 'maps'))
  } catch {
    return ''
  }
}
