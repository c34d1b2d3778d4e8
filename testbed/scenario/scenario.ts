/**
 * Owns what a scenario is: what it needs, and what it is handed while it runs. Scenarios live in
 * ../scenarios/, one a file.
 */
import type { Init } from '../image/root.ts'
import type { Host } from '../machine/host.ts'
import type { GuestLog } from './guest-log.ts'

type Files = Readonly<Record<string, Uint8Array>>

/**
 * When a scenario runs as a test: `kexec` in `npm test`, the others in `npm run test:all` and, in turns, in
 * CI.
 */
export type ScenarioTier = 'kexec' | 'testbed' | 'long'

/** `R`: what a run answers, where figures are wanted beside the verdict. */
export interface Scenario<R = unknown> {
  /** One line for the list of scenarios. */
  readonly about: string
  /** Absent where a scenario is only run by hand or measured with. */
  readonly tier?: ScenarioTier
  /** Kernel specs (see debian/kernel.ts) where the command line names none. Next: default the same again. */
  readonly kernel?: string
  readonly nextKernel?: string
  /** The host's process 1. Default: busybox's, which boots in a third of the time. */
  readonly init?: Init
  /** RAM of the host, as QEMU spells it. */
  readonly memory?: string
  /**
   * Appended to the kernel's command line, for all kernels alike unless the scenario says otherwise when it
   * jumps.
   */
  readonly append?: string
  /** Found inside under /opt/testbed/files/. */
  readonly files?: () => Files | Promise<Files>
  /** A former commit, whose program is `guestmemfs-older` inside. */
  readonly older?: string
  /** For all of it, from the first boot on. Default: twenty minutes, which is plenty. */
  readonly timeoutMs?: number
  /**
   * A reset of the machine is part of the scenario (`host.jump` waits for what it starts); its memory stays.
   */
  readonly resetStartsAgain?: true
  /** A fault is seeded: the run must fail, and for this reason, to pass. */
  readonly mustFail?: RegExp
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
  readonly first: BootChoice
  readonly next: BootChoice
  /** What was typed after the scenario's name; what it means is the scenario's. */
  readonly words: readonly string[]
  /** Runs `work` as a named step: shown while it runs, timed in the summary. */
  phase<T>(name: string, work: () => Promise<T>): Promise<T>
  /** A number or a word that the summary keeps. Nothing depends on it. */
  keep(name: string, value: unknown): void
  /**
   * A value that must be `wanted` (deeply equal, or matched by the pattern), kept in the summary as one that
   * was asserted. Throws when it is not.
   */
  expect<T>(name: string, value: T, wanted: T | (T extends string ? RegExp : never)): void
  /** Follows a guest's ticks in the log `name`; the summary tells whether they are one unbroken run. */
  guest(name: string): GuestLog
}
