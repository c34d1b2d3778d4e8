/**
 * This process becomes a VM's QEMU: from here on its pid, terminal, cgroup and exit status are QEMU's own,
 * and no process of ours stands beside it. QEMU inherits the listening socket of its QMP and the VM's lock,
 * which is held as long as QEMU runs. Must not: be called before the runtime record names this process.
 */
import { fstatSync } from 'node:fs'
import { executeAs } from '../../linux/credentials.ts'
import { close, duplicateAbove, duplicateOver, setCloseOnExec } from '../../linux/descriptors.ts'
import { lowerDescriptorLimit, setProcessLimits } from '../../linux/process-limits.ts'
import type { ProcessIdentity } from '../../run/process-identity.ts'
import { writeRuntime } from '../../run/vm-runtime.ts'
import { SystemCallError, UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { MONITOR_FD } from '../vm-command-line.ts'
import { ramFileOf, type VmDefinition } from '../vm-definition.ts'
import { enterDirectory } from './spawn-qemu.ts'
import type { Launch } from './start-arguments.ts'

/** The VM's lock in QEMU's process. */
export const LOCK_FD = 4
/** Above all that QEMU inherits. */
const OTHERS = 10

export interface Inherited {
  /** The listening socket of QMP; undefined: it is another VMM. */
  readonly monitor: Fd | undefined
  /** The VM's. */
  readonly lock: Fd
}

/**
 * Errors (UsageError): the directory cannot be entered, the program not be executed. This process must end.
 */
export function executeQemu(definition: VmDefinition, launch: Launch, inherited: Inherited): never {
  const { name, cwd, limits } = definition
  const [program = '', ...words] = launch.argv
  enterDirectory(name, cwd, launch.credentials)
  for (const stream of [0, 1, 2]) setCloseOnExec(stream as Fd, false)
  const restore = placeDescriptors(inherited)
  const raise = limits === undefined ? lowerDescriptorLimit() : () => {}
  if (limits !== undefined) setProcessLimits(process.pid, limits)
  const errno = executeAs(launch.credentials, program, words, launch.environment)
  raise()
  restore()
  process.chdir('/')
  throw new UsageError(`VM ${name}: ${program} does not start: ${errno}`)
}

/** Node has descriptors of its own at these numbers. Returns a function that puts those back. */
function placeDescriptors({ monitor, lock }: Inherited): () => void {
  const wanted = [
    ...(monitor === undefined ? [] : [[duplicateAbove(monitor, OTHERS), MONITOR_FD] as const]),
    [duplicateAbove(lock, OTHERS), LOCK_FD] as const,
  ]
  const kept = wanted.map(([, target]) => [copyOf(target as Fd), target as Fd] as const)
  for (const [fd, target] of wanted) duplicateOver(fd, target as Fd)
  return () => {
    for (const [copy, target] of kept) {
      if (copy === undefined) close(target)
      else {
        duplicateOver(copy, target)
        setCloseOnExec(target, true)
      }
    }
  }
}

function copyOf(fd: Fd): Fd | undefined {
  try {
    return duplicateAbove(fd, OTHERS)
  } catch (error) {
    if (error instanceof SystemCallError) return undefined
    throw error
  }
}

/**
 * Puts the process that is to be the VM's QEMU on record. `errors`: what its standard error will be, in this
 * process. Errors (UsageError): /run takes no record.
 */
export function recordStart(
  definition: VmDefinition,
  qemu: ProcessIdentity,
  errors: number,
  cgroup: string | undefined,
): void {
  const stat = fstatSync(errors)
  writeRuntime(definition.name, {
    ramFile: ramFileOf(definition),
    qemu,
    end: null,
    ...(stat.isFile() && { errors: { dev: stat.dev, ino: stat.ino } }),
    ...(cgroup !== undefined && { cgroup }),
  })
}
