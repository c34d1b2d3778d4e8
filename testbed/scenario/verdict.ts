/**
 * The verdict on a run that did not go well: a failure, or the emulator underneath. Pure: evidence in, verdict out. It takes
 * something for the emulator's only where the evidence leaves no other, since a fault of the product must never be excused; what
 * it cannot tell is a failure. testbed/README.md says what the rules are and why.
 */
import type { Tick } from '../guests/ticks.ts'
import type { HostEvidence } from '../machine/host.ts'

/** A guest's ticks, each with when it came, by the clock outside. */
export interface GuestEvidence {
  readonly name: string
  readonly ticks: readonly (Tick & { readonly atMs: number })[]
}

export interface RunEvidence {
  /** What was thrown, or what was found wrong at the end. */
  readonly failure: string
  /** A wait that was not fulfilled, the host that was gone, a guest's ticks. An assertion about what was found is none of these. */
  readonly isAboutTheMachine: boolean
  /** Undefined where the host was never started. */
  readonly host: HostEvidence | undefined
  readonly guests: readonly GuestEvidence[]
}

/** Why it was the emulator, in words for the summary; undefined where it was not, or cannot be told. */
export function emulatorFault(run: RunEvidence): string | undefined {
  const { host, guests } = run
  if (host === undefined || !run.isAboutTheMachine) return undefined
  if (guests.some(({ ticks }) => ticks.some(({ bad }) => bad > 0))) return undefined
  const restarts = guests.flatMap((guest) => restartsOf(guest).map((restart) => ({ guest, restart })))
  const resets = restarts.map(({ guest, restart }) => resetAlone(guest, restart, host))
  // One guest that we started again ourselves, or that lost its place, is enough for a failure.
  if (resets.includes(undefined)) return undefined
  return staleInstruction(host) ?? tripleFault(host) ?? resets[0]
}

interface Restart {
  /** Index of the tick that is not the last one's successor. */
  readonly at: number
}

function restartsOf({ ticks }: GuestEvidence): Restart[] {
  return ticks.flatMap(({ number }, at) => (number === (ticks[at - 1]?.number ?? 0) + 1 ? [] : [{ at }]))
}

/**
 * The guest began anew at tick 1, in the QEMU that it was first started in: nobody saved or restored it before, and nobody started
 * a QEMU for it since. A QEMU that was seen with no log may have been this guest's.
 */
function resetAlone(guest: GuestEvidence, { at }: Restart, host: HostEvidence): string | undefined {
  const [last, first] = [guest.ticks[at - 1], guest.ticks[at]]
  if (last === undefined || first === undefined || first.number !== 1) return undefined
  const starts = host.qemuStarts.filter(({ logs, atMs }) => {
    return (logs.length === 0 || logs.includes(guest.name)) && atMs < first.atMs
  })
  const isFirst = starts.length === 1 && starts[0]?.logs.includes(guest.name) === true
  if (!isFirst || (starts[0]?.atMs ?? 0) > (guest.ticks[0]?.atMs ?? 0)) return undefined
  return `guest ${guest.name} was reset after tick ${last.number}, in the one QEMU that was ever started for it`
}

/** An oops begins with its kind; what it was doing follows (arch/x86/kernel/dumpstack.c). */
const INT3 = /\bint3: 0000 \[#1\]/
/** Of what the product has the kernel do: FUSE, device-dax, hand-over, kexec. */
const OURS = /\b(?:fuse|dax|memfd|shmem|luo|kho|liveupdate|kexec|devmem|mmap_mem)\w*\+0x/i

/**
 * A breakpoint instruction that the kernel had put there to patch a static key, and had replaced again, was executed: the emulator
 * kept the old translation. Nothing else in the kernel executes one that it does not know.
 */
function staleInstruction({ crash, isBooting }: HostEvidence): string | undefined {
  if (crash === undefined || isBooting || !INT3.test(crash) || OURS.test(crash)) return undefined
  const at = /RIP: \S+:(\S+)/.exec(crash)?.[1] ?? 'an unknown place'
  return `the host executed an int3 that was not there any more, at ${at}`
}

/** The processor gave up, without a word of the kernel's, while it executed KVM's own code. */
function tripleFault({ crash, stop, isBooting, kvmModules }: HostEvidence): string | undefined {
  if (crash !== undefined || stop?.reason !== 'guest-reset' || isBooting) return undefined
  if (!/^Triple fault$/m.test(stop.qemuLog)) return undefined
  const ranges = kvmModules.map(moduleRange)
  const inside = [...stop.registers.matchAll(/\bRIP=([0-9a-f]{16})/g)]
    .map(([, digits]) => BigInt(`0x${digits}`))
    .find((rip) => ranges.some((range) => range !== undefined && rip >= range.start && rip < range.end))
  if (inside === undefined) return undefined
  return `the host was reset by a triple fault in KVM's code, at 0x${inside.toString(16)}`
}

/** `NAME SIZE REFERENCES USERS STATE ADDRESS` (kernel/module/procfs.c). */
function moduleRange(line: string): { start: bigint; end: bigint } | undefined {
  const [, size, , , , address] = line.split(' ')
  if (address === undefined || !/^0x[0-9a-f]+$/.test(address) || BigInt(address) === 0n) return undefined
  return { start: BigInt(address), end: BigInt(address) + BigInt(size ?? 0) }
}
