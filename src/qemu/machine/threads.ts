/**
 * How a QEMU's threads are scheduled, which no command line has: pinned to processors, at a real-time
 * priority, or at another nice value. The save reads it while the guest is stopped, and the load sets it
 * again in the next QEMU before the guest continues.
 */
import * as v from 'valibot'
import { readSchedule, type Schedule, ScheduleSchema, setSchedule } from '../../linux/thread-schedule.ts'
import { QemuError } from '../../values/errors.ts'
import type { QmpClient } from '../qmp-client.ts'
import { type Ask, askOf } from './ask.ts'

/** `thread`: `main`, `vCPU N`, `I/O thread ID`. */
export const ThreadSchema = v.object({ thread: v.string(), schedule: ScheduleSchema })
export type Thread = v.InferOutput<typeof ThreadSchema>

const MAIN = 'main'
/** More than a machine can have; a QEMU that reports more is refused. */
const MOST = 5000

const ProcessorsSchema = v.array(v.object({ 'cpu-index': v.number(), 'thread-id': v.number() }))
const IoThreadsSchema = v.array(v.object({ id: v.string(), 'thread-id': v.number() }))

/** Thread ids by name; `pid`: of QEMU. Errors (QemuError): it does not answer, or reports too many. */
async function threadsOf(ask: Ask, pid: number): Promise<Map<string, number>> {
  const [processors, ioThreads] = await Promise.all([
    ask(ProcessorsSchema, 'query-cpus-fast'),
    ask(IoThreadsSchema, 'query-iothreads'),
  ])
  if (processors.length + ioThreads.length > MOST)
    throw new QemuError(`QEMU reports more than ${MOST} threads`)
  return new Map([
    [MAIN, pid],
    ...processors.map((cpu) => [`vCPU ${cpu['cpu-index']}`, cpu['thread-id']] as const),
    ...ioThreads.map((thread) => [`I/O thread ${thread.id}`, thread['thread-id']] as const),
  ])
}

/**
 * The main thread, and those that are scheduled differently: a record has little room. Errors (QemuError):
 * QEMU does not answer.
 */
export async function readThreads(qmp: QmpClient, pid: number): Promise<Thread[]> {
  const threads = await threadsOf(askOf(qmp), pid)
  const main = readSchedule(pid, pid)
  if (main === undefined) return []
  const others = [...threads].flatMap(([thread, tid]) => {
    const schedule = tid === pid ? undefined : readSchedule(pid, tid)
    return schedule === undefined || isSame(main, schedule) ? [] : [{ thread, schedule }]
  })
  return [{ thread: MAIN, schedule: main }, ...others]
}

/**
 * Sets what differs. Returns one line for each thread that could not be set; the guest runs without it.
 * Errors: QemuError.
 */
export async function setThreads(qmp: QmpClient, pid: number, wanted: readonly Thread[]): Promise<string[]> {
  const main = wanted.find(({ thread }) => thread === MAIN)
  if (main === undefined) return []
  const threads = await threadsOf(askOf(qmp), pid)
  const byName = new Map(wanted.map(({ thread, schedule }) => [thread, schedule]))
  const missing = wanted.filter(({ thread }) => !threads.has(thread))
  const lost = missing.map(({ thread }) => `${thread} is not there to be scheduled as it was`)
  const failures = [...threads].flatMap(([thread, tid]) => {
    const schedule = byName.get(thread) ?? main.schedule
    if (isSame(readSchedule(pid, tid), schedule)) return []
    const failed = setSchedule(pid, tid, schedule)
    return failed === undefined ? [] : [`${thread} could not be scheduled as it was: ${failed.name}`]
  })
  return [...lost, ...failures]
}

const isSame = (left: Schedule | undefined, right: Schedule): boolean =>
  JSON.stringify(left) === JSON.stringify(right)
