/** A pool mounted by hand: the next `mount` starts a new keeper, and the server must run meanwhile. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { unmount } from '../../src/linux/mounts.ts'
import { processStartTime } from '../../src/linux/process.ts'
import { getxattr } from '../../src/linux/xattr.ts'
import { lockPath, logPath, readPoolRecord } from '../../src/run/pool-record.ts'
import { Errno } from '../../src/values/errno.ts'
import { CLI, until } from '../../test/mount/support.ts'
import type { PoolHost } from './pool-host.ts'

export function mountPlainly(pool: string, size: string): PoolHost {
  const mountPoint = mkdtempSync(join(tmpdir(), 'guestmemfs-kill-'))
  const guestmemfs = (...words: string[]): string =>
    execFileSync(process.execPath, [CLI, ...words], { encoding: 'utf8', timeout: 120_000, stdio: 'pipe' })
  const kill = (...pids: number[]): void => {
    for (const pid of pids)
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended by itself.
      }
  }
  const isAlive = (pid: number | undefined): boolean =>
    pid !== undefined && processStartTime(pid) !== undefined
  guestmemfs('mount', pool, mountPoint, '-o', `size=${size}`)
  return {
    mountPoint,
    root: () => mountPoint,
    inside: () => [],
    keeperPid: () => readPoolRecord(pool)?.keeper.pid ?? 0,
    serverPid: () => readPoolRecord(pool)?.server?.pid ?? 0,
    kill,
    canLoseBoth: false,
    takenOver: async (former) => {
      // On a busy machine the kernel takes a while to end a process, and until then `mount` finds it alive.
      await until('the keeper has ended', () => !isAlive(former))
      guestmemfs('mount', pool, mountPoint)
    },
    settled: () =>
      until('keeper and server live', () => {
        // By the present server; the record may still name the former one.
        const value = getxattr(mountPoint, 'guestmemfs.server')
        if (value instanceof Errno) throw new Error(`guestmemfs.server: ${value}`)
        const { pid } = JSON.parse(Buffer.from(value).toString()) as { pid: number }
        const record = readPoolRecord(pool)
        return isAlive(record?.keeper.pid) && isAlive(pid) && record?.server?.pid === pid
      }),
    guestmemfs,
    end: async () => {
      try {
        guestmemfs('umount', '--discard', pool)
      } finally {
        unmount(mountPoint, { lazy: true })
        for (const path of [mountPoint, lockPath(pool), logPath(pool)])
          rmSync(path, { recursive: true, force: true })
      }
    },
  }
}
