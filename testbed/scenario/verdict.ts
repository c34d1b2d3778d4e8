/**
 * The verdict on a run that did not pass: a failure, or a fault of the emulator. Pure: evidence in, verdict
 * out. It blames the emulator only where the evidence allows nothing else, since it must never excuse a fault
 * of the product; in doubt it is a failure. testbed/README.md says what the rules are and why.
 */

import type { Accelerator } from '../guests/kvm-probe.ts'
import type { Tick } from '../guests/ticks.ts'
import type { HostEvidence } from '../machine/evidence.ts'

/** A guest's ticks, each with its time of arrival, by the clock outside. */
export interface GuestEvidence {
  readonly name: string
  readonly ticks: readonly (Tick & { readonly atMs: number })[]
}

/**
 * Of a wait, the end of the host or a guest's ticks; of a command inside; or of what a scenario asserts,
 * which is never excused.
 */
export type FailureKind = 'machine' | 'command' | 'assertion'

export interface RunEvidence {
  /** What the run threw, or the fault at its end. */
  readonly failure: string
  readonly kind: FailureKind
  readonly accelerator: Accelerator | undefined
  /** Undefined where the host was never started. */
  readonly host: HostEvidence | undefined
  readonly guests: readonly GuestEvidence[]
}

/** Why the failure is the emulator's, for the summary; undefined where it is not, or in doubt. */
export function emulatorFault(run: RunEvidence): string | undefined {
  const { host, guests, failure } = run
  if (host === undefined || run.accelerator !== 'tcg' || run.kind === 'assertion') return undefined
  if (guests.some(({ ticks }) => ticks.some(({ bad }) => bad > 0))) return undefined
  const resets = guests.flatMap((guest) =>
    breaksOf(guest).map((at) => ({ name: guest.name, why: resetAlone(guest, at, host) })),
  )
  // One guest that a QEMU of the scenario started again, or whose ticks jump otherwise, is enough for a
  // failure.
  if (resets.some(({ why }) => why === undefined)) return undefined
  const wild = guests.flatMap((guest) => leftItsCode(guest, host, failure) ?? [])
  if (run.kind === 'command') return wild[0]
  // A reset excuses the failure of that guest, and no other.
  const own = resets.find(({ name }) => failure.startsWith(`guest ${name}: tick 1 where tick `))
  return staleInstruction(host) ?? tripleFault(host) ?? spoiltStack(host) ?? own?.why ?? wild[0]
}

/** Indexes of ticks that are not the last one's successors. */
const breaksOf = ({ ticks }: GuestEvidence): number[] =>
  ticks.flatMap(({ number }, at) => (number === (ticks[at - 1]?.number ?? 0) + 1 ? [] : [at]))

/**
 * The guest began again at tick 1, in the only QEMU that was ever started for it, so no command saved,
 * restored or started it since. Its RAM must be QEMU's own: a pool that lost the page with the guest's code
 * would look the same. A QEMU that was seen with no log may have been this guest's.
 */
function resetAlone({ name, ticks }: GuestEvidence, at: number, host: HostEvidence): string | undefined {
  const [last, first] = [ticks[at - 1], ticks[at]]
  if (last === undefined || first === undefined || first.number !== 1) return undefined
  const [start, ...more] = host.qemuStarts.filter(({ logs }) => logs.length === 0 || logs.includes(name))
  if (start === undefined || more.length > 0 || !start.logs.includes(name) || !start.hasOwnRam)
    return undefined
  if (start.atMs > (ticks[0]?.atMs ?? 0)) return undefined
  return `guest ${name} was reset after tick ${last.number}, in the one QEMU that was ever started for it`
}

/**
 * Run states of a guest whose processor KVM could not execute any further, and of one that had a triple fault
 * (pool guests have -no-reboot and -no-shutdown, so the triple fault leaves their RAM as it was).
 */
const STOPS = ['internal-error', 'shutdown']

/** So many ticks show that what was restored of the guest's processor and devices was whole in this QEMU. */
const PROVEN_TICKS = 2

/**
 * The guest's processor stopped by itself, some right ticks after the only QEMU that this boot had for it was
 * started, and all of the guest's code and tables is in its RAM as it was built: so no page was lost, changed
 * or exchanged, and the processor executed something else. Two ticks use every register, table and device
 * that the guest has, so what was restored wrongly shows before; into the only QEMU that the guest ever had,
 * nothing was restored. A trial of its next QEMU is none of it. The failure must be of that guest, by its run
 * state or by the wait for its log.
 */
function leftItsCode(
  { name, ticks }: GuestEvidence,
  host: HostEvidence,
  failure: string,
): string | undefined {
  const boot = host.qemuStarts.reduce((last, start) => (start.atMs > last.atMs ? start : last), NO_START)
  const all = host.qemuStarts.filter(
    ({ logs, isIncoming, hasOwnRam }) =>
      logs.includes(name) || (logs.length === 0 && !isIncoming && !hasOwnRam),
  )
  const [start, ...more] = all.filter(({ key }) => bootOf(key) === bootOf(boot.key))
  if (start === undefined || more.length > 0 || !start.logs.includes(name)) return undefined
  const stopped = host.stoppedGuests.find(({ pid }) => pid === start.pid)
  if (stopped === undefined || !STOPS.includes(stopped.state)) return undefined
  const isRestored = all.length > 1 || start.isIncoming
  const isInFirmware = stopped.isInFirmware && !isRestored && ticks.length === 0
  if (!stopped.hasItsCode && !isInFirmware) return undefined
  if (isRestored && ticks.filter(({ atMs }) => atMs > start.atMs).length < PROVEN_TICKS) return undefined
  if (!tellsState(failure, stopped.state) && !failure.startsWith(`${name} did not print `)) return undefined
  if (!stopped.hasItsCode)
    return `the processor of guest ${name} left its firmware (${stopped.state}) before that had loaded its code`
  const last = ticks.at(-1)?.number ?? 0
  return `the processor of guest ${name} left its code after tick ${last} (${stopped.state}), all of which is in its RAM`
}

/** As QEMU's human monitor and our preflight word it. */
const tellsState = (failure: string, state: string): boolean =>
  failure.includes(`VM status: paused (${state})`) || failure.includes(`the guest is in state '${state}'`)

const NO_START = { key: '', atMs: Number.NEGATIVE_INFINITY }
const bootOf = (key: string): string => key.split(' ', 1)[0] as string

/** An oops begins with its kind; what it was doing follows (arch/x86/kernel/dumpstack.c). */
const INT3 = /\bint3: 0000 \[#1\]/
/** Kernel functions that the product uses: FUSE, device-dax, memfds, /dev/mem, handover, kexec. */
const OURS =
  /(?:fuse|dax|memfd|shmem|luo|kho|liveupdate|kexec|(?:read|write|mmap)_mem)\w*\+0x|\[(?:fuse|device_dax|dax_hmem|kmem)\]/i
/** The byte at RIP is in angle brackets; after an int3 RIP points behind it. */
const CODE = /^.*\bCode: .*?([0-9a-f]{2}) <[0-9a-f]{2}>/m

/**
 * A breakpoint instruction that the kernel had put there to patch a static key, and had replaced again, was
 * executed: the emulator kept the old translation. Memory has another byte there, so it is no padding that
 * code jumped into either.
 */
function staleInstruction({ crash, isBooting }: HostEvidence): string | undefined {
  if (crash === undefined || isBooting || !INT3.test(crash) || OURS.test(crash)) return undefined
  const byte = CODE.exec(crash)?.[1]
  if (byte === undefined || byte === 'cc') return undefined
  const at = /RIP: \S+:(\S+)/.exec(crash)?.[1] ?? 'an unknown place'
  return `the host executed an int3 that was not there any more, at ${at}`
}

/**
 * A triple fault of a processor, without a message of the kernel, while all that were not halted executed
 * KVM's code, or while one was between a guest and its host.
 */
function tripleFault({ crash, stop, isBooting, kvmModules }: HostEvidence): string | undefined {
  if (crash !== undefined || stop?.reason !== 'guest-reset' || isBooting) return undefined
  if (!/^Triple fault$/m.test(stop.qemuLog)) return undefined
  const processors = stop.registers.split(/^CPU#\d+$/m).filter((text) => !/\bHLT=1\b/.test(text))
  if (processors.some(isBetween))
    return "the host was reset by a triple fault after a guest's exit, before KVM had loaded the host's TR and GS"
  const ranges = kvmModules.flatMap((line) => moduleRange(line) ?? [])
  const busy = processors
    .flatMap((text) => /\bRIP=([0-9a-f]{16})/.exec(text)?.[1] ?? [])
    .map((digits) => BigInt(`0x${digits}`))
  const isInside = (rip: bigint): boolean => ranges.some(({ start, end }) => rip >= start && rip < end)
  const [rip] = busy
  if (rip === undefined || !busy.every(isInside)) return undefined
  return `the host was reset by a triple fault in KVM's code, at 0x${rip.toString(16)}`
}

/** Where the kernel of a running machine has its IDT (CPU_ENTRY_AREA_RO_IDT, asm/pgtable_areas.h). */
const KERNELS_IDT = /^IDT= +fffffe0000000000 00000fff$/m
/** The null selector in TR, and no base in GS. */
const NO_TASK = /^TR =0000 0000000000000000 /m
const NO_GS = /^GS =[0-9a-f]{4} 0000000000000000 /m

/**
 * The exit of an SVM guest leaves the guest's FS, GS, TR and LDTR in the processor, until the host's VMLOAD
 * some instructions later, in `__svm_vcpu_run` (AMD64 APM 2, 15.5.1; arch/x86/kvm/svm/vmenter.S). A kernel
 * that has its IDT always has a TR and a base in GS, but for those instructions: an exception that the
 * emulator raises there cannot find its per-CPU memory.
 */
const isBetween = (registers: string): boolean =>
  /\bCPL=0\b/.test(registers) && [KERNELS_IDT, NO_TASK, NO_GS].every((what) => what.test(registers))

/** What `schedule_debug()` says of the thread that runs (kernel/sched/core.c), and what tells whose it is. */
const STACK_END = /\bKernel panic - not syncing: corrupted stack end detected inside scheduler\b/
const GUESTS_THREAD = /^.*\bCPU: (\d+) .*\bComm: (?:qemu-system-x86|CPU \d+\/KVM)\b/m
const IN_KVM = /\b(?:kvm_vcpu_ioctl|kvm_arch_vcpu_ioctl_run|vcpu_put)\+0x\S+ \[kvm\]/
/** Where IST1 is in a 64-bit TSS (AMD64 APM 2, 12.2.5): a double fault's stack, and no other exception's. */
const IST1_WITHOUT_BASE = /\bCR2=0000000000000024\b/

/**
 * The same moment, after which the emulator continued. A handler without a base in GS faults at once, and so
 * does each handler of that fault, down the thread's whole stack; where that ends, the processor takes a
 * double fault and reads the address of its stack from a TSS whose base is 0. No program and no code of the
 * kernel's reads there and goes on: the kernel would have ended the thread, or printed a message. Where the
 * processor counts as the guest's still, the guest has the third fault (SVM_EXIT_SHUTDOWN, check_exception()
 * in QEMU's target/i386), and the host goes on with the end of its stack written over.
 */
function spoiltStack({ crash, stop, isBooting }: HostEvidence): string | undefined {
  if (crash === undefined || stop === undefined || isBooting || OURS.test(crash)) return undefined
  if (!STACK_END.test(crash) || !IN_KVM.test(crash)) return undefined
  const processor = GUESTS_THREAD.exec(crash)?.[1]
  const registers = stop.registers.split(/^CPU#/m).find((text) => text.startsWith(`${processor}\n`))
  if (registers === undefined || !IST1_WITHOUT_BASE.test(registers)) return undefined
  return "a guest's thread in the host lost the end of its stack, on a processor that had taken a double fault without a TSS"
}

/** `NAME SIZE REFERENCES USERS STATE ADDRESS` (kernel/module/procfs.c). */
function moduleRange(line: string): { start: bigint; end: bigint } | undefined {
  const [, size, , , , address] = line.split(' ')
  if (address === undefined || !/^0x[0-9a-f]+$/.test(address) || BigInt(address) === 0n) return undefined
  return { start: BigInt(address), end: BigInt(address) + BigInt(size ?? 0) }
}
