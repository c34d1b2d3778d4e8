/**
 * The interface of a scenario: what it needs, and what it gets while it runs. Scenarios are in ../scenarios/,
 * one a file.
 */
import type { Init } from '../image/root.ts'
import type { Host } from '../machine/host.ts'
import type { Peer } from '../machine/peer.ts'
import type { GuestLog } from './guest-log.ts'

type Files = Readonly<Record<string, Uint8Array>>

/**
 * When a scenario runs as a test: `kexec` in `npm test`, the others in `npm run test:all` and, in turns, in
 * CI.
 */
export type ScenarioTier = 'kexec' | 'testbed' | 'long'

/** `R`: what a run returns beside the verdict, such as figures. */
export interface Scenario<R = unknown> {
  /** One line for the list of scenarios. */
  readonly about: string
  /** Absent where a scenario is only run by hand or by a bench. */
  readonly tier?: ScenarioTier
  /** Kernel specs (see debian/kernel.ts) where the command line names none. Next: default the same again. */
  readonly kernel?: string
  readonly nextKernel?: string
  /** The host's process 1. Default: busybox's, which boots in a third of the time. */
  readonly init?: Init
  /** RAM of the host, as for QEMU's `-m`. */
  readonly memory?: string
  /** Memory nodes of the host, each with an equal part of its RAM. Default: one, and no SRAT. */
  readonly nodes?: number
  /**
   * Appended to the kernel's command line, of each kernel, unless the scenario gives another when it jumps.
   */
  readonly append?: string
  /** The host has a network card, and at the other end of its wire there is `Stage.peer`. */
  readonly hasPeer?: true
  /**
   * The host has an IOMMU, and a second network card (`machine/passed-nic.ts`) with the peer at its end:
   * needs `hasPeer`.
   */
  readonly passesNic?: true
  /** Debian packages that the host has besides those of every host. */
  readonly packages?: readonly string[]
  /** Files that are inside under /opt/testbed/files/. */
  readonly files?: () => Files | Promise<Files>
  /** A former commit, whose program is `guestmemfs-older` inside. */
  readonly older?: string
  /** For the whole run, from the first boot on. Default: twenty minutes. */
  readonly timeoutMs?: number
  /**
   * A reset of the machine is part of the scenario (`host.jump` waits for the next kernel); its memory stays.
   */
  readonly resetStartsAgain?: true
  /** The scenario seeds a fault: to pass, the run must fail for this reason. */
  readonly mustFail?: RegExp
  /** The scenario does what the emulator does wrong: to pass, the verdict must blame the emulator so. */
  readonly mustBeExcused?: RegExp
  readonly run: (stage: Stage) => Promise<R>
}

/** One boot choice, as commands inside name it. */
export interface BootChoice {
  readonly release: string
  readonly vmlinuz: string
  readonly initramfs: string
}

export interface Stage {
  readonly host: Host
  /** Where the scenario asks for it. */
  readonly peer: Peer | undefined
  readonly first: BootChoice
  readonly next: BootChoice
  /** The words that the operator typed after the scenario's name. */
  readonly words: readonly string[]
  /** Runs `work` as a named step: shown while it runs, timed in the summary. */
  phase<T>(name: string, work: () => Promise<T>): Promise<T>
  /** Records a value in the summary. The verdict does not depend on it. */
  keep(name: string, value: unknown): void
  /**
   * A value that must be `wanted` (deeply equal, or matched by the pattern), kept in the summary as one that
   * was asserted. Throws when it is not.
   */
  expect<T>(name: string, value: T, wanted: T | (T extends string ? RegExp : never)): void
  /** Follows a guest's ticks in the log `name`; the verdict requires that they are one unbroken run. */
  guest(name: string): GuestLog
}
