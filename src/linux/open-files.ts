/**
 * The descriptors of another process, as the kernel describes them in /proc: the file of each, and what its
 * kind adds (`show_fdinfo`). Must not: open or copy one.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface OpenFile {
  readonly fd: number
  /** As the link of /proc has it: a path in the reader's root, or `anon_inode:…` and the like. */
  readonly path: string
  /** Of a tap's queue (`iff:`, drivers/net/tun.c). */
  readonly interfaceName: string | undefined
}

/**
 * undefined: the process has ended, or may not be looked into. Those that it closes meanwhile are left out.
 */
export function openFiles(pid: number): OpenFile[] | undefined {
  const process = `/proc/${pid}`
  try {
    return readdirSync(`${process}/fd`).flatMap((fd) => {
      try {
        const path = readlinkSync(`${process}/fd/${fd}`)
        const info = readFileSync(`${process}/fdinfo/${fd}`, 'latin1')
        return [{ fd: Number(fd), path, interfaceName: /^iff:\s*(\S+)$/m.exec(info)?.[1] }]
      } catch {
        return []
      }
    })
  } catch {
    return undefined
  }
}
