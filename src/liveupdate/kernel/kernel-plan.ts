/**
 * The plan of a kernel update: the next kernel, its command line, pools and guests; and all findings against
 * it, made before anything is changed. It opens the next kernel's files. Must not: load a kernel, or pause a
 * guest.
 */
import { type ActiveDomains, NO_DOMAINS } from '../../libvirt/active-domains.ts'
import type { KvmGuest } from '../../linux/kvm-guests.ts'
import { splitCommandLine } from '../../linux/memory-info.ts'
import type { TriedLines } from '../../qemu/carry/next-line.ts'
import { ramBytesOf, ramFileOf } from '../../qemu/vm-definition.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import { type Finding, fail, warn } from '../../values/finding.ts'
import { checkDomainPools, checkDomains } from '../domains/check-domains.ts'
import type { DomainScope } from '../domains/domain-steps.ts'
import { checkGuests, subjectOf } from '../preflight/check-guests.ts'
import { checkHandover } from '../preflight/check-handover.ts'
import { checkHost, type KexecMethod } from '../preflight/check-host.ts'
import { checkBootMounts, checkNextBoot, checkNumbered } from '../preflight/check-next-boot.ts'
import { type NextKernel, openNextKernel } from '../preflight/check-next-kernel.ts'
import { checkNextNodes } from '../preflight/check-next-nodes.ts'
import { checkPlugged, checkPools, checkUnmanagedGuests, unmanagedGuests } from '../preflight/check-pools.ts'
import { checkShutdown } from '../preflight/check-shutdown.ts'
import { handoverAbi, runningAbi } from '../preflight/handover-abi.ts'
import type { HostFacts } from '../preflight/host-facts.ts'
import { type CommandLineChoice, checkCommandLine, nextCommandLine } from '../preflight/next-command-line.ts'
import { carveOutOf, outlivesKexec, type PoolFacts, type SurvivesBy } from '../preflight/pool-facts.ts'

export interface KernelChoice {
  readonly kernel: string
  readonly initrd: string | undefined
  readonly commandLine: CommandLineChoice
  readonly via: KexecMethod
  /** Names of guests that the operator leaves (`--leave`): they are not saved. */
  readonly left: readonly string[]
}

/** A plain value, for operators and scripts. */
export interface KernelPlan {
  readonly via: KexecMethod
  readonly kernel: string
  readonly initrd: string | null
  readonly before: string
  /** Its release. Undefined only in a refused plan. */
  readonly next: string | undefined
  readonly commandLine: string
  readonly pools: readonly PlannedPool[]
  readonly vms: readonly { readonly name: string; readonly mountPoint: string; readonly ramBytes: number }[]
  /** Running guests that the operator leaves: they end with this kernel. */
  readonly left: readonly string[]
}

export interface PlannedPool {
  readonly pool: string
  readonly mountPoint: string
  readonly store: string
  readonly by: SurvivesBy
}

export interface Preflight {
  readonly plan: KernelPlan
  readonly findings: readonly Finding[]
  /** The opened files; undefined where a finding refuses the kernel. The caller closes them. */
  readonly next: NextKernel | undefined
  /** The running guests that the update saves. */
  readonly vms: readonly Vm[]
  /** As of `VmBatch`. */
  readonly lines: TriedLines
  /** RAM files that a VM was recorded on when this was planned. */
  readonly recorded: readonly string[]
  /** Domains of libvirt. */
  readonly libvirt: DomainScope
  /** Names of those that do not run, which stay so. */
  readonly paused: readonly string[]
  /** What this host has, chosen or not. */
  readonly found: {
    readonly pools: readonly PoolFacts[]
    readonly domains: ActiveDomains
    /** Neither of 'guestmemfs run' nor of libvirt. */
    readonly unmanaged: readonly KvmGuest[]
  }
}

/** `parked`: names of unmounted pools whose memory only a process holds. */
export async function planKernelUpdate(
  choice: KernelChoice,
  host: HostFacts,
  pools: readonly PoolFacts[],
  parked: readonly string[],
  domains: ActiveDomains = NO_DOMAINS,
): Promise<Preflight> {
  const { kernel, initrd, via, left } = choice
  const commandLine = nextCommandLine(host.commandLine, choice.commandLine)
  const { next, findings: ofFiles } = openNextKernel(kernel, initrd)
  const chosen = pools.filter((pool) => pool.isChosen && outlivesKexec(pool))
  const isKept = ({ definition }: Vm): boolean => !left.includes(definition.name)
  const isRunning = ({ state }: Vm): boolean => state === 'running'
  // A VM with RAM in several pools is in the list of each.
  const vms = [...new Set(chosen.flatMap((pool) => pool.vms.filter((vm) => isRunning(vm) && isKept(vm))))]
  // The next boot finds a carve-out whether its pool was chosen or not.
  const nextBootReads = pools.filter(
    ({ isChosen, by }) => by === 'carve-out' || (isChosen && by !== undefined),
  )
  const { findings: ofGuests, lines, paused } = await checkGuests(vms, undefined, 'next-kernel')
  const wanted = domains.ours.filter(
    ({ about, mountPoint }) =>
      !left.includes(about.name) && chosen.some((pool) => pool.mountPoint === mountPoint),
  )
  const isResumed = (vm: Vm): boolean => vm.state === 'saved' || vms.includes(vm)
  const hasGuests = (pool: PoolFacts): boolean =>
    pool.vms.some(isResumed) || wanted.some(({ mountPoint }) => mountPoint === pool.mountPoint)
  const running = pools.flatMap((pool) => pool.vms.filter(isRunning).map(({ definition }) => definition.name))
  const ofDomains = await checkDomains(wanted, new Set(running))
  const kvmGuests = unlessOfLibvirt(host.kvmGuests, domains)
  const findings = [
    ...checkHost(host, { via, loadBytes: loadBytes(next), hasInitrd: initrd !== undefined }),
    ...ofFiles,
    ...checkCommandLine({
      current: host.commandLine,
      next: commandLine,
      firmware: host.firmware,
      regions: pools.some(({ store }) => carveOutOf(store) === 'soft-reserved') ? host.regions : [],
      reserved: pools.flatMap(({ store, place }) =>
        carveOutOf(store) === 'reserved' && place ? [place] : [],
      ),
    }),
    ...checkNextNodes(
      { current: host.commandLine, next: commandLine },
      vms.map(({ definition }) => definition),
    ),
    ...handoverFindings(chosen, host, next, commandLine),
    ...tooLong(commandLine, next?.image.commandLineMax),
    ...checkPools(
      pools.map((pool) => ({ ...pool, vms: pool.vms.filter(isKept) })),
      parked,
    ),
    ...checkNextBoot(host.nextBoot, nextBootReads),
    ...checkNumbered(host.nextBoot.numbered, host.regions, pools),
    ...checkBootMounts(host.bootMounts, host.regions, chosen.filter(hasGuests)),
    ...checkShutdown(via, chosen),
    ...checkUnmanagedGuests(pools, kvmGuests),
    ...checkDomainPools(pools, domains, left),
    ...ofGuests,
    ...ofDomains.findings,
    ...checkPlugged(pools, lines),
    ...checkLeft(left, [...running, ...domains.ours.map(({ about }) => about.name)]),
  ]
  if (vms.length + wanted.length === 0)
    findings.push(warn('guests', 'no guest runs in a pool that outlives the kexec'))
  return {
    plan: {
      via,
      kernel,
      initrd: initrd ?? null,
      before: host.release,
      next: next?.image.release,
      commandLine,
      pools: chosen.flatMap(({ pool, mountPoint, store, by }) =>
        by === undefined ? [] : { pool, mountPoint, store, by },
      ),
      vms: [
        ...vms.map(({ definition }) => ({
          name: definition.name,
          mountPoint: definition.mountPoint,
          ramBytes: ramBytesOf(definition),
        })),
        ...wanted.map(({ about: { name }, mountPoint, ram }) => ({
          name,
          mountPoint,
          ramBytes: ramBytesOf({ ramFiles: ram }),
        })),
      ],
      left,
    },
    findings,
    next,
    vms,
    lines,
    recorded: pools.flatMap((pool) => pool.vms.map(({ definition }) => ramFileOf(definition))),
    libvirt: { domains: ofDomains.fit, known: uuidsOf(domains) },
    paused: [...paused, ...ofDomains.paused],
    found: { pools, domains, unmanaged: unmanagedGuests(pools, kvmGuests) },
  }
}

const uuidsOf = ({ ours, others }: ActiveDomains): string[] => [
  ...ours.map(({ about }) => about.uuid),
  ...others.map(({ uuid }) => uuid),
]

/** Those of libvirt have findings of their own. */
const unlessOfLibvirt = (guests: readonly KvmGuest[], { ours, others }: ActiveDomains): KvmGuest[] =>
  guests.filter(({ pid }) => ![...ours, ...others].some((domain) => domain.pid === pid))

/** Warns of each guest that the operator leaves. */
function checkLeft(left: readonly string[], running: readonly string[]): Finding[] {
  return left.map((name) => {
    const subject = subjectOf({ name })
    if (running.includes(name))
      return warn(subject, `${subject} is left: it ends with this kernel, and nothing of it is saved`)
    return fail(subject, `${subject} cannot be left: no VM of that name runs`)
  })
}

const loadBytes = (next: NextKernel | undefined): number =>
  (next?.image.sizeBytes ?? 0) + (next?.initrd?.sizeBytes ?? 0)

/** Only where memory is handed over: unpacking a kernel takes a second. */
function handoverFindings(
  chosen: readonly PoolFacts[],
  { liveUpdate, release, version, availableBytes }: HostFacts,
  next: NextKernel | undefined,
  commandLine: string,
): Finding[] {
  const pools = chosen.filter(({ by }) => by === 'luo')
  if (pools.length === 0 || liveUpdate === undefined || next === undefined) return []
  return checkHandover({
    release,
    pools,
    device: liveUpdate,
    now: runningAbi(release, version, next.image),
    next: handoverAbi(next.image),
    words: splitCommandLine(commandLine),
    availableBytes,
  })
}

function tooLong(commandLine: string, most: number | undefined): Finding[] {
  const lengthBytes = Buffer.byteLength(commandLine)
  if (most === undefined || lengthBytes <= most) return []
  return [
    fail(
      'command line',
      `the next kernel's command line has ${lengthBytes} bytes, it takes ${most}: shorten it`,
    ),
  ]
}
