/**
 * How the kernel schedules one thread: on which processors, by which policy. Structures and numbers:
 * sched_setattr(2), include/uapi/linux/sched/types.h, arch/x86/entry/syscalls/syscall_64.tbl,
 * include/uapi/asm-generic/unistd.h.
 */
import { existsSync, readFileSync } from 'node:fs'
import { endianness } from 'node:os'
import * as v from 'valibot'
import { EINVAL, type Errno, ESRCH } from '../values/errno.ts'
import { errnoUnlessZero, lastErrno, libcCall } from './library.ts'

const attrCall = libcCall('syscall', 'long', ['long', 'long', 'void *', 'long', 'long'])
const setAffinity = libcCall('sched_setaffinity', 'int', ['int', 'size_t', 'void *'])

const SYS = process.arch === 'arm64' ? { setattr: 274, getattr: 275 } : { setattr: 314, getattr: 315 }
/** SCHED_ATTR_SIZE_VER0 */
const ATTR_BYTES = 48
const IS_LITTLE = endianness() === 'LE'
const SCHED_DEADLINE = 6
/** The most that a kernel is built for (CONFIG_NR_CPUS). */
const MOST_CPUS = 8192
const ONLINE = '/sys/devices/system/cpu/online'

export const ScheduleSchema = v.object({
  /** As a list (`0-3,8`); null: every processor that is online. */
  cpus: v.nullable(v.string()),
  /** SCHED_NORMAL 0, FIFO 1, RR 2, BATCH 3, IDLE 5, DEADLINE 6. */
  policy: v.number(),
  flags: v.number(),
  nice: v.number(),
  /** Of FIFO and RR. */
  priority: v.number(),
  /** Of DEADLINE: runtime, deadline and period in nanoseconds. */
  times: v.tuple([v.number(), v.number(), v.number()]),
})
export type Schedule = v.InferOutput<typeof ScheduleSchema>

/** undefined: `tid` is no thread of process `pid`, or has ended. */
export function readSchedule(pid: number, tid: number): Schedule | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/task/${tid}/status`, 'latin1')
    const attr = new DataView(new ArrayBuffer(ATTR_BYTES))
    if (attrCall(SYS.getattr, tid, attr, ATTR_BYTES, 0) < 0) return undefined
    const [, allowed = ''] = /^Cpus_allowed_list:\s*(\S+)/m.exec(status) ?? []
    const cpus = parseCpus(allowed)
    const isAll = [...(parseCpus(readFileSync(ONLINE, 'latin1').trim()) ?? [])].every((cpu) => cpus?.has(cpu))
    const nanoseconds = (at: number): number => Number(attr.getBigUint64(at, IS_LITTLE))
    const policy = attr.getUint32(4, IS_LITTLE)
    return {
      cpus: isAll ? null : allowed,
      policy,
      flags: nanoseconds(8),
      nice: attr.getInt32(16, IS_LITTLE),
      priority: attr.getUint32(20, IS_LITTLE),
      // Of the other policies it is the slice that this kernel gives them; a former one may have another.
      times: policy === SCHED_DEADLINE ? [nanoseconds(24), nanoseconds(32), nanoseconds(40)] : [0, 0, 0],
    }
  } catch {
    return undefined
  }
}

/**
 * Errors: EINVAL (none of the processors is there, or allowed by the cgroup), EPERM, ESRCH (`tid` is no
 * thread of process `pid`).
 */
export function setSchedule(pid: number, tid: number, schedule: Schedule): Errno | undefined {
  // QEMU reports the thread's number, and could report one of another process: root must not change that one.
  if (!existsSync(`/proc/${pid}/task/${tid}`)) return ESRCH
  const { cpus, policy, flags, nice, priority, times } = schedule
  const set = cpus === null ? undefined : parseCpus(cpus)
  if (cpus !== null && set === undefined) return EINVAL
  const mask = new Uint8Array(MOST_CPUS / 8)
  if (set === undefined) mask.fill(0xff)
  else for (const cpu of set) mask[cpu >> 3] = (mask[cpu >> 3] as number) | (1 << (cpu & 7))
  const failed = errnoUnlessZero(setAffinity(tid, mask.length, mask))
  if (failed !== undefined) return failed
  const attr = new DataView(new ArrayBuffer(ATTR_BYTES))
  attr.setUint32(0, ATTR_BYTES, IS_LITTLE)
  attr.setUint32(4, policy, IS_LITTLE)
  attr.setBigUint64(8, BigInt(flags), IS_LITTLE)
  attr.setInt32(16, nice, IS_LITTLE)
  attr.setUint32(20, priority, IS_LITTLE)
  for (const [index, time] of times.entries()) attr.setBigUint64(24 + 8 * index, BigInt(time), IS_LITTLE)
  return attrCall(SYS.setattr, tid, attr, 0, 0) < 0 ? lastErrno() : undefined
}

/** `0-3,8`; undefined: it is no such list. */
export function parseCpus(list: string): Set<number> | undefined {
  const cpus = new Set<number>()
  for (const part of list.split(',')) {
    const [, first, last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? []
    if (first === undefined || Number(last) >= MOST_CPUS || Number(last) < Number(first)) return undefined
    for (let cpu = Number(first); cpu <= Number(last); cpu++) cpus.add(cpu)
  }
  return cpus
}
