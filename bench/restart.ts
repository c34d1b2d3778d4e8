/**
 * The bench of the server as a process: how long the mount waits when it is killed, its memory, and its
 * processor time when idle.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { interleave, medianOf } from './harness.ts'
import { type BenchPool, withPool } from './pool.ts'
import { fact, type Result } from './report.ts'

const FILES = 1000
const WATCH_MS = 3000
const IDLE_MS = 5000
const worker = join(import.meta.dirname, 'workers/stat-loop.ts')

/** Watches the mount for three seconds; calls `disturb` after one second. */
async function longestWait(pool: BenchPool, disturb: () => void): Promise<Record<string, number>> {
  const path = join(pool.mountPoint, 'file-0')
  const child = spawn(process.execPath, [worker, path, String(WATCH_MS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const output = text(child.stdout)
  await once(child.stdout, 'readable')
  await sleep(1000)
  disturb()
  const { longestMs } = JSON.parse((await output).trim()) as { longestMs: number }
  return { longestMs }
}

function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
  return Number(kib) * 1024
}

/**
 * utime + stime of /proc/PID/stat, in clock ticks of 10 ms (USER_HZ is 100 on every architecture we run on).
 */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}

async function idleCpuPercent(pids: readonly number[]): Promise<number> {
  const total = (): number => pids.reduce((sum, pid) => sum + cpuMs(pid), 0)
  const before = total()
  await sleep(IDLE_MS)
  return ((total() - before) * 100) / IDLE_MS
}

export function benchRestart(rounds: number, progress: (line: string) => void): Promise<Result> {
  return withPool('1G', async (pool) => {
    for (let index = 0; index < FILES; index += 1)
      closeSync(openSync(join(pool.mountPoint, `file-${index}`), 'wx'))
    const measured = await interleave(
      [
        { name: 'undisturbed', run: () => longestWait(pool, () => {}) },
        {
          name: 'server killed',
          run: () => longestWait(pool, () => process.kill(pool.serverPid(), 'SIGKILL')),
        },
      ],
      { rounds, progress },
    )
    const [calm, killed] = measured as [(typeof measured)[0], (typeof measured)[0]]
    progress('idle')
    const idle = await idleCpuPercent([pool.serverPid(), pool.keeperPid()])
    const mib = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`
    return {
      name: 'restart',
      title: `The server: killed and back with ${FILES} files, its memory, its idle cost`,
      settings: { files: FILES, rounds, watchMs: WATCH_MS, idleMs: IDLE_MS },
      measured,
      rows: [
        fact('longest wait, undisturbed', `${medianOf(calm, 'longestMs').toFixed(1)} ms`),
        fact('longest wait, server killed', `${medianOf(killed, 'longestMs').toFixed(1)} ms`),
        fact('server RSS', mib(residentBytes(pool.serverPid()))),
        fact('keeper RSS', mib(residentBytes(pool.keeperPid()))),
        fact('idle CPU, server and keeper', `${idle.toFixed(2)} %`),
      ],
    }
  })
}
