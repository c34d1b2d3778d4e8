/**
 * Owns what each pool of this host must be before the kernel is replaced underneath it: memory that outlives the jump, an image
 * that the next kernel can read, and no guest that would be left behind. Pure.
 */
import type { KvmGuest } from '../../linux/kvm-guests.ts'
import type { PhysicalRange } from '../../linux/memory-ranges.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import { type PreflightFinding, refuse, warn } from './finding.ts'

export interface PoolFacts {
  readonly pool: string
  readonly mountPoint: string
  /** As `guestmemfs.pool` names it: `memfd`, `dax`, … */
  readonly store: string
  /** How its memory gets into the next kernel; undefined: it does not. */
  readonly by: SurvivesBy | undefined
  /** Of memory that is handed over. */
  readonly handover: HandoverFacts | undefined
  /** Who holds its memory is still there when systemd has stopped everything else. */
  readonly outlivesShutdown: boolean
  /** The physical memory it lies in; undefined where it has none of its own. */
  readonly place: PhysicalRange | undefined
  /** The update is about this pool. */
  readonly isChosen: boolean
  readonly holdsFiles: boolean
  /** What `fsck` found that the next kernel would refuse. */
  readonly imageErrors: readonly string[]
  readonly vms: readonly Vm[]
  /** Records of VMs that cannot be read, one line each. */
  readonly problems: readonly string[]
}

export interface HandoverFacts {
  readonly state: string
  /** Memory that preserving would allocate. */
  readonly holeBytes: number
  readonly awaitedFiles: number
  readonly lostFiles: number
}

/** `carve-out`: it lies where no kernel puts anything. `luo`: this kernel's live update orchestrator hands it to the next one. */
export type SurvivesBy = 'carve-out' | 'luo'

/** Stores whose memory a kernel does not take when it starts. */
const CARVED: readonly string[] = ['dax', 'devmem']

/** The one way there is for the pool: where its memory lies says it. undefined: none on this kernel. */
export const survivesBy = (store: string, hasLiveUpdate: boolean): SurvivesBy | undefined =>
  CARVED.includes(store) ? 'carve-out' : hasLiveUpdate ? 'luo' : undefined

export const outlivesKexec = ({ by }: Pick<PoolFacts, 'by'>): boolean => by !== undefined

/** `parked`: pools of memfds that are not mounted; their memory is held by a process. */
export function checkPools(pools: readonly PoolFacts[], parked: readonly string[]): PreflightFinding[] {
  return [
    ...pools.flatMap((pool) => checkPool(pool)),
    ...parked.map((pool) =>
      warn(`pool '${pool}' is parked with store=memfd: its files end with this kernel`),
    ),
  ]
}

/** `guests`: all processes of this host that run one. Those that no pool has a record of end, and nobody asks them. */
export function checkUnmanagedGuests(
  pools: readonly PoolFacts[],
  guests: readonly KvmGuest[],
): PreflightFinding[] {
  const ours = new Set(pools.flatMap(({ vms }) => vms.map(({ qemu }) => qemu?.pid)))
  return guests
    .filter(({ pid }) => !ours.has(pid))
    .map(({ pid, program }) =>
      warn(
        `process ${pid} (${program}) runs a guest that 'guestmemfs run' did not start: it ends with this kernel`,
      ),
    )
}

function checkPool(facts: PoolFacts): PreflightFinding[] {
  const { pool, store, vms, imageErrors, problems } = facts
  const guests = vms.filter(({ state }) => state !== 'dead').map(({ definition }) => definition.name)
  const findings = problems.map((problem) => refuse(problem))
  if (!outlivesKexec(facts)) {
    const advice =
      "boot a kernel with CONFIG_LIVEUPDATE and kho=on liveupdate=on, or move them to a pool with store=dax on a carve-out: see 'guestmemfs doctor' and 'guestmemfs reserve'"
    if (guests.length > 0)
      findings.push(
        refuse(
          `pool '${pool}' (store=${store}) ends with this kernel, and VM ${guests.join(', ')} with it: ${advice}`,
        ),
      )
    else if (facts.holdsFiles)
      findings.push(warn(`pool '${pool}' (store=${store}) ends with this kernel, and its files with it`))
    return findings
  }
  for (const message of imageErrors)
    findings.push(
      refuse(`the image of pool '${pool}' is not sound: ${message}: see 'guestmemfs fsck ${pool}'`),
    )
  if (!facts.isChosen)
    for (const { definition, state } of vms)
      if (state === 'running')
        findings.push(
          refuse(
            `VM ${definition.name} of pool '${pool}' would end with this kernel: leave --mount away to take it along`,
          ),
        )
  return findings
}
