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

/** An emulated host takes a minute for a command. */
export const COMMAND_MS = 300_000
const SETTLE_MS = 120_000

export const mountPlainly = (pool: string, size: string): PoolHost =>
  mountWith(pool, `size=${size}`, mkdtempSync(join(tmpdir(), 'guestmemfs-kill-')))

/** `options`: of the first mount. `cli`: another program than this tree's. */
export function mountWith(pool: string, options: string, mountPoint: string, cli = CLI): PoolHost {
  const guestmemfs = (...words: string[]): string =>
    execFileSync(process.execPath, [cli, ...words], { encoding: 'utf8', timeout: COMMAND_MS, stdio: 'pipe' })
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
  guestmemfs('mount', pool, mountPoint, '-o', options)
  return {
    mountPoint,
    root: () => mountPoint,
    inside: () => [],
    keeperPid: () => readPoolRecord(pool)?.keeper.pid ?? 0,
    serverPid: () => readPoolRecord(pool)?.server?.pid ?? 0,
    kill,
    memory: 'memfds',
    canLoseBoth: false,
    takenOver: async (former) => {
      // On a busy machine the kernel takes a while to end a process, and until then `mount` finds it alive.
      await until('the keeper has ended', () => !isAlive(former))
      guestmemfs('mount', pool, mountPoint)
    },
    settled: () =>
      until(
        'keeper and server live',
        () => {
          // By the present server; the record may still name the former one.
          const value = getxattr(mountPoint, 'guestmemfs.server')
          if (value instanceof Errno) throw new Error(`guestmemfs.server: ${value}`)
          const { pid } = JSON.parse(Buffer.from(value).toString()) as { pid: number }
          const record = readPoolRecord(pool)
          return isAlive(record?.keeper.pid) && isAlive(pid) && record?.server?.pid === pid
        },
        SETTLE_MS,
      ),
    cli,
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
