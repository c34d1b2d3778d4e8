/**
 * A pool whose keeper is a unit's main process, under a systemd of its own that has a copy of every
 * descriptor: both of its processes may die at once.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installFiles } from '../../src/host/install-files.ts'
import { type PoolRecord, parsePoolRecord } from '../../src/run/pool-record.ts'
import { TREE, until } from '../../test/mount/support.ts'
import { startSystemd, writeTarget } from '../../test/mount/systemd-host.ts'
import type { PoolHost } from './pool-host.ts'

const TAKEOVER_MS = 120_000

export async function mountInUnit(pool: string, size: string): Promise<PoolHost> {
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-kill-'))
  const [units, mountPoint] = [join(folder, 'units'), join(folder, 'mnt')]
  for (const path of [units, mountPoint]) mkdirSync(path)
  writeTarget(units)
  const program = [process.execPath, join(TREE, 'src/cli.ts')] as const
  const unit = installFiles(program).find(({ path }) => path.endsWith('@.service'))
  writeFileSync(join(units, 'guestmemfs@.service'), unit?.text ?? '')
  const { run, inside, stop } = await startSystemd(folder, units)
  const end = async (): Promise<void> => {
    await stop()
    rmSync(folder, { recursive: true, force: true })
  }
  const guestmemfs = (...words: string[]): string => {
    const { status, output } = run(...program, ...words)
    if (status !== 0) throw new Error(`guestmemfs ${words.join(' ')}: ${output}`)
    return output
  }
  /** It has a mount namespace of its own: this process sees it through its PID 1. */
  const seen = (path: string): string => `/proc/${inside()[2]}/root${path}`
  const record = (): PoolRecord | undefined => {
    try {
      return parsePoolRecord(readFileSync(seen(`/run/guestmemfs/pools/${pool}.json`), 'utf8'))
    } catch {
      return undefined
    }
  }
  const keeperPid = (): number => record()?.keeper.pid ?? 0
  const serverPid = (): number => record()?.server?.pid ?? 0
  const lives = async (holds: () => boolean): Promise<void> => {
    try {
      await until('keeper and server live', holds, TAKEOVER_MS)
    } catch (cause) {
      const told = readFileSync(join(folder, 'console'), 'utf8').slice(-3000)
      throw new Error(`no keeper, or no server, comes back: ${told}`, { cause })
    }
  }
  try {
    guestmemfs('mount', pool, mountPoint, '-o', `size=${size}`)
  } catch (error) {
    await end()
    throw error
  }
  return {
    mountPoint,
    root: () => seen(mountPoint),
    inside,
    keeperPid,
    serverPid,
    kill: (...pids) => void run('kill', '-KILL', ...pids.map(String)),
    memory: 'memfds',
    canLoseBoth: true,
    takenOver: (former) => lives(() => ![0, former].includes(keeperPid())),
    settled: () => lives(() => run('kill', '-0', String(keeperPid()), String(serverPid())).status === 0),
    cli: program[1],
    guestmemfs,
    end,
  }
}
