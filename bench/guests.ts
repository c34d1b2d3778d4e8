/**
 * The bench of many guests: what each idle guest adds to the processes of guestmemfs (keeper, server,
 * watcher), in memory and in CPU time; QEMUs are not counted. GUESTMEMFS_GUESTS=1,16 takes other numbers of
 * guests.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { lockOwner } from '../src/linux/own-lock.ts'
import { WATCHER_LOCK } from '../src/run/paths.ts'
import { readRuntime } from '../src/run/vm-runtime.ts'
import type { Fd } from '../src/values/ids.ts'
import { KIB, MIB } from '../src/values/units.ts'
import { type Measured, medianOf } from './harness.ts'
import { type BenchPool, guestmemfs, withPool } from './pool.ts'
import { atMostRow, fact, type Result } from './report.ts'

const COUNTS = (process.env.GUESTMEMFS_GUESTS ?? '1,16,200').split(',').map(Number)
const RAM_MIB = 16
const LOOK_MS = 5000
/** USER_HZ, of /proc/PID/stat. */
const TICKS = 100

const processes = (pool: BenchPool): number[] =>
  [pool.keeperPid(), pool.serverPid(), watcherPid() ?? []].flat()

function watcherPid(): number | undefined {
  try {
    const fd = openSync(WATCHER_LOCK, 'r') as Fd
    const pid = lockOwner(fd)
    closeSync(fd)
    return pid
  } catch {
    return undefined
  }
}

/** Its own pages: how many other processes have the same programs mapped does not matter. */
function pssBytes(pid: number): number {
  const [, kib = '0'] =
    /^Pss_Anon: +(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')) ?? []
  return Number(kib) * KIB
}

function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}

const sum = (pids: readonly number[], of: (pid: number) => number): number =>
  pids.reduce((total, pid) => total + of(pid), 0)

async function startGuest(pool: BenchPool, name: string): Promise<number> {
  const ram = `memory-backend-file,id=ram,size=${RAM_MIB}M,mem-path=${join(pool.mountPoint, name)},share=on`
  const line = ['-machine', 'q35', '-accel', 'tcg', '-nodefaults', '-display', 'none', '-m', `${RAM_MIB}M`]
  await guestmemfs(
    'run',
    '--name',
    name,
    '--',
    'qemu-system-x86_64',
    ...line,
    '-object',
    ram,
    '-S',
    '-daemonize',
  )
  const pid = readRuntime(name)?.qemu?.pid
  if (pid === undefined) throw new Error(`${name} did not start`)
  return pid
}

/** What is there with `count` guests. */
async function measure(count: number, progress: (line: string) => void): Promise<Record<string, number>> {
  return await withPool(`${(count + 1) * RAM_MIB * 2}M`, async (pool) => {
    const qemus: number[] = []
    try {
      for (let index = 0; index < count; index += 1) {
        progress(`guest ${index + 1} of ${count}`)
        qemus.push(await startGuest(pool, `bench-${process.pid}-${index}`))
      }
      await sleep(LOOK_MS)
      const ours = processes(pool)
      const before = sum(ours, cpuSeconds)
      await sleep(LOOK_MS)
      const cpu = (sum(ours, cpuSeconds) - before) / (LOOK_MS / 1000)
      return { processes: ours.length, pssBytes: sum(ours, pssBytes), cpu }
    } finally {
      for (const pid of qemus) process.kill(pid)
      await settled(qemus)
    }
  })
}

/** The pool can be discarded when no QEMU has its memory. */
async function settled(pids: readonly number[]): Promise<void> {
  const ended = spawn('sh', ['-c', `for pid in ${pids.join(' ')}; do tail --pid=$pid -f /dev/null; done`])
  await once(ended, 'exit')
}

export async function benchGuests(rounds: number, progress: (line: string) => void): Promise<Result> {
  const measured: Measured[] = COUNTS.map((count) => ({ name: `${count} guests`, samples: {} }))
  for (let round = 0; round < rounds; round += 1)
    for (const [index, count] of COUNTS.entries())
      for (const [figure, value] of Object.entries(await measure(count, progress))) {
        const samples = measured[index]!.samples
        samples[figure] = [...(samples[figure] ?? []), value]
      }
  const [least, most] = [measured[0]!, measured.at(-1)!]
  const more = COUNTS.at(-1)! - COUNTS[0]!
  const added = (medianOf(most, 'pssBytes') - medianOf(least, 'pssBytes')) / Math.max(1, more) / MIB
  return {
    name: 'guests',
    title: 'Idle guests: what each adds to keeper, server and watcher together',
    settings: { rounds, ramMiB: RAM_MIB, counts: COUNTS.join(' ') },
    measured,
    rows: [
      ...measured.map((each) =>
        fact(
          `${each.name}`,
          `${medianOf(each, 'processes')} processes, ${(medianOf(each, 'pssBytes') / MIB).toFixed(1)} MiB, ${(medianOf(each, 'cpu') * 100).toFixed(1)} % of a processor`,
        ),
      ),
      atMostRow('memory added by each guest, MiB', added, 1),
    ],
  }
}
