/**
 * The start, by the updating command, of a process that stands beside the QEMU which has the guest: its
 * successor, or its placeholder (`become-successor.ts`). The command holds the VM's update lock.
 */
import { readFileSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { close } from '../../linux/descriptors.ts'
import { endOf, pidfdOpen } from '../../linux/process.ts'
import { replaceFile } from '../../run/atomic-file.ts'
import { isAlive, isSameProcess, type ProcessIdentity } from '../../run/process-identity.ts'
import { makeVmDirectory, readRuntime, vmPaths } from '../../run/vm-runtime.ts'
import { formatTimeout } from '../../values/duration.ts'
import { Errno } from '../../values/errno.ts'
import { QemuError } from '../../values/errors.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { nextOf } from './become-successor.ts'
import { startUnderInit } from './guest-unit.ts'
import { describeEnd, STARTER, type Started, starterEnvironment, startStarter } from './start-process.ts'

const LOOK_MS = 10

export interface BesideRequest {
  readonly how: 'successor' | 'placeholder'
  readonly definition: VmDefinition
  /** The QEMU that has the guest. */
  readonly former: ProcessIdentity
  /** It must be a child of PID 1. */
  readonly underInit: boolean
  readonly timeoutMs: number
}

/** Resolves when it has put itself on record. Errors (QemuError): it does not, with the reason. */
export async function startBeside(request: BesideRequest): Promise<Started> {
  const { how, definition, former, underInit, timeoutMs } = request
  const { name } = definition
  const { next } = makeVmDirectory(name)
  replaceFile(next, nextOf(former, definition), 0o600)
  try {
    const started = underInit ? underPid1(how, name) : startStarter([how, name], ['ignore', 'ignore', 'pipe'])
    return await onRecord(name, started, timeoutMs)
  } finally {
    rmSync(next, { force: true })
  }
}

/** A process that has not put itself on record yet: not known by then where another has started it. */
type Starting = Pick<Started, 'output'> & Partial<Started>

function underPid1(how: string, name: string): Starting {
  const errors = `${vmPaths(name).next}.errors`
  rmSync(errors, { force: true })
  if (!startUnderInit([...STARTER, how, name], starterEnvironment(), errors))
    throw new QemuError('systemd-run could not start it')
  return { output: async () => textOf(errors) }
}

async function onRecord(name: string, starting: Starting, timeoutMs: number): Promise<Started> {
  const { process, output } = starting
  const deadline = performance.now() + timeoutMs
  let end: string | undefined
  void starting.ended?.then((words) => {
    end = words
  })
  for (;;) {
    const successor = readRuntime(name)?.successor
    if (successor !== undefined && (process === undefined || isSameProcess(successor, process)))
      return { output, process: successor, ended: starting.ended ?? untilEnd(successor) }
    // One that is no child of this process reports its end by a last line.
    const reason = end === undefined && process !== undefined ? '' : lastLine(await output())
    if (reason !== '') throw new QemuError(reason)
    if (end !== undefined) throw new QemuError(`QEMU ${end}`)
    if (performance.now() > deadline)
      throw new QemuError(`no QEMU was started within ${formatTimeout(timeoutMs)}`)
    await sleep(LOOK_MS)
  }
}

/** Its timer does not keep a command from ending. */
function untilEnd(process: ProcessIdentity): Promise<string> {
  const pidfd = pidfdOpen(process.pid)
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      if (isAlive(process)) return
      clearInterval(timer)
      const end = pidfd instanceof Errno ? undefined : endOf(pidfd, process.pid)
      if (!(pidfd instanceof Errno)) close(pidfd)
      resolve(end === undefined ? 'ended' : describeEnd(end))
    }, LOOK_MS)
    timer.unref()
  })
}

/** Without the name of this program. */
const lastLine = (text: string): string => (text.trim().split('\n').at(-1) ?? '').replace(/^guestmemfs: /, '')

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // it has not been made yet
  }
}
