/**
 * The bench of the server as a process: how long the mount waits when it is killed, with few files and with
 * many, its memory, and its processor time when idle.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { interleave, medianOf } from './harness.ts'
import { type BenchPool, withPool } from './pool.ts'
import { atMostRow, fact, type Result } from './report.ts'

const FEW = 100
const MANY = 10_000
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

function fill({ mountPoint }: BenchPool, files: number): void {
  for (let index = 0; index < files; index += 1) closeSync(openSync(join(mountPoint, `file-${index}`), 'wx'))
}

const kill = (pool: BenchPool) => process.kill(pool.serverPid(), 'SIGKILL')

export function benchRestart(rounds: number, progress: (line: string) => void): Promise<Result> {
  return withPool('1G', (few) =>
    withPool('1G', async (many) => {
      progress(`filling ${MANY} files`)
      fill(few, FEW)
      fill(many, MANY)
      const measured = await interleave(
        [
          { name: 'undisturbed', run: () => longestWait(many, () => {}) },
          { name: `server killed, ${FEW} files`, run: () => longestWait(few, () => kill(few)) },
          { name: `server killed, ${MANY} files`, run: () => longestWait(many, () => kill(many)) },
        ],
        { rounds, progress },
      )
      const [calm, small, large] = measured.map((side) => medianOf(side, 'longestMs')) as [
        number,
        number,
        number,
      ]
      progress('idle')
      const idle = await idleCpuPercent([many.serverPid(), many.keeperPid()])
      const mib = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(1)} MiB`
      return {
        name: 'restart',
        title: `The server: killed and back with ${MANY} files and with ${FEW}, its memory, its idle cost`,
        settings: { few: FEW, many: MANY, rounds, watchMs: WATCH_MS, idleMs: IDLE_MS },
        measured,
        rows: [
          atMostRow(`killed: ${MANY} files against ${FEW}`, large / small, 1.1),
          fact('longest wait, undisturbed', `${calm.toFixed(1)} ms`),
          fact(`longest wait, killed, ${FEW} files`, `${small.toFixed(1)} ms`),
          fact(`longest wait, killed, ${MANY} files`, `${large.toFixed(1)} ms`),
          fact('server RSS', mib(residentBytes(many.serverPid()))),
          fact('keeper RSS', mib(residentBytes(many.keeperPid()))),
          fact('idle CPU, server and keeper', `${idle.toFixed(2)} %`),
        ],
      }
    }),
  )
}
