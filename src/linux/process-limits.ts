/** What the kernel allows one process: its resource limits (prlimit(2)), and its OOM score adjustment. */
import { readFileSync, writeFileSync } from 'node:fs'
import * as v from 'valibot'
import type { Errno } from '../values/errno.ts'
import { errnoOfNodeError, errnoUnlessZero, libcCall } from './library.ts'

const prlimit = libcCall('prlimit64', 'int', ['int', 'int', 'void *', 'void *'])

/** RLIM_NLIMITS, include/uapi/asm-generic/resource.h: RLIMIT_CPU 0 to RLIMIT_RTTIME 15. */
const COUNT = 16
const RLIMIT_NOFILE = 7
const RLIM_INFINITY = 2n ** 64n - 1n
/** Bytes, seconds or a count; null: no limit. */
const LimitSchema = v.nullable(v.number())

export const ProcessLimitsSchema = v.object({
  /** -1000 to 1000 (proc_pid_oom_score_adj(5)). */
  oomScoreAdj: v.number(),
  /** By number: soft and hard. */
  resources: v.array(v.tuple([LimitSchema, LimitSchema])),
})
export type ProcessLimits = v.InferOutput<typeof ProcessLimitsSchema>

const path = (pid: number): string => `/proc/${pid}/oom_score_adj`

/** undefined: the process has ended. */
export function readProcessLimits(pid: number): ProcessLimits | undefined {
  try {
    const resources = Array.from({ length: COUNT }, (_, number): [number | null, number | null] => {
      const pair = new BigUint64Array(2)
      if (prlimit(pid, number, null, pair) !== 0) throw new Error('ended')
      return [fromKernel(pair[0] as bigint), fromKernel(pair[1] as bigint)]
    })
    return { oomScoreAdj: Number(readFileSync(path(pid), 'latin1')), resources }
  } catch {
    return undefined
  }
}

/**
 * Sets the soft limit on open files to that of this process's parent: Node has raised its own
 * (`PlatformInit`, node.cc), and a program that this process executes would inherit that. Where the parent is
 * PID 1 the limit stays: PID 1 gives its services others than its own. Returns a function that undoes it.
 */
export function lowerDescriptorLimit(): () => void {
  const [now, starter] = [readProcessLimits(process.pid), readProcessLimits(process.ppid)]
  const [soft, hard] = now?.resources[RLIMIT_NOFILE] ?? []
  const wanted = starter?.resources[RLIMIT_NOFILE]?.[0]
  if (process.ppid === 1 || soft == null || hard === undefined || wanted == null || wanted >= soft)
    return () => {}
  const set = (value: number): number =>
    prlimit(0, RLIMIT_NOFILE, BigUint64Array.of(BigInt(value), toKernel(hard)), null)
  set(wanted)
  return () => void set(soft)
}

/**
 * Sets what differs. Returns the names of what could not be set, with the reason; nothing where the process
 * has ended.
 */
export function setProcessLimits(pid: number, wanted: ProcessLimits): [string, Errno][] {
  const now = readProcessLimits(pid)
  if (now === undefined) return []
  const failed: [string, Errno][] = []
  for (const [number, [soft, hard]] of wanted.resources.entries()) {
    if (JSON.stringify(now.resources[number]) === JSON.stringify([soft, hard])) continue
    const pair = new BigUint64Array([toKernel(soft), toKernel(hard)])
    const errno = errnoUnlessZero(prlimit(pid, number, pair, null))
    if (errno !== undefined) failed.push([`resource limit ${NAMES[number] ?? number}`, errno])
  }
  if (wanted.oomScoreAdj !== now.oomScoreAdj) {
    try {
      writeFileSync(path(pid), String(wanted.oomScoreAdj))
    } catch (error) {
      failed.push(['oom_score_adj', errnoOfNodeError(error)])
    }
  }
  return failed
}

const NAMES = [
  ...['CPU', 'FSIZE', 'DATA', 'STACK', 'CORE', 'RSS', 'NPROC', 'NOFILE'],
  ...['MEMLOCK', 'AS', 'LOCKS', 'SIGPENDING', 'MSGQUEUE', 'NICE', 'RTPRIO', 'RTTIME'],
]

const fromKernel = (value: bigint): number | null => (value === RLIM_INFINITY ? null : Number(value))
const toKernel = (value: number | null): bigint => (value === null ? RLIM_INFINITY : BigInt(value))
