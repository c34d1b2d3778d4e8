/**
 * Owns what this machine must be for a kexec: rights, the kernel's own switches, memory for the next kernel, and the memory map
 * both kernels begin with. Reads the machine; the findings about it are pure.
 */
import { existsSync, readFileSync } from 'node:fs'
import { carveOuts } from '../../bootmem/carve-out.ts'
import { readMachineMemory } from '../../bootmem/machine-memory.ts'
import type { E820Entry } from '../../bootmem/memory-map.ts'
import { CAP_SYS_ADMIN, CAP_SYS_BOOT, hasCapability } from '../../linux/capabilities.ts'
import { readDaxRegions } from '../../linux/dax.ts'
import { type KexecState, kexecState } from '../../linux/kexec.ts'
import { type KvmGuest, kvmGuests } from '../../linux/kvm-guests.ts'
import { hasLiveUpdate, withLiveUpdate } from '../../linux/luo.ts'
import {
  kernelCommandLineText,
  kernelRelease,
  memoryInfo,
  splitCommandLine,
} from '../../linux/memory-info.ts'
import type { PhysicalRange } from '../../linux/memory-ranges.ts'
import { sleepBlocking } from '../../linux/sleep.ts'
import { EBUSY, EIO } from '../../values/errno.ts'
import { formatSize } from '../../values/size.ts'
import { MIB } from '../../values/units.ts'
import type { HandoverCheck } from './check-handover.ts'
import { type PreflightFinding, refuse, warn } from './finding.ts'

/** How the machine gets from one kernel into the other: at once, or by way of the service manager. */
export type KexecMethod = 'kexec' | 'systemctl'

export interface HostFacts {
  readonly release: string
  readonly commandLine: string
  readonly isPrivileged: boolean
  readonly kexec: KexecState
  readonly availableBytes: number
  readonly hasSystemd: boolean
  readonly hadInitrd: boolean
  /** The map that both kernels begin with, before their options. */
  readonly firmware: readonly E820Entry[]
  /** Every region of set-aside memory, whoever uses it. */
  readonly regions: readonly PhysicalRange[]
  /** Of the live update orchestrator; undefined: this kernel has none, or was not told to start it. */
  readonly liveUpdate: HandoverCheck['device'] | undefined
  /** /proc/version. */
  readonly version: string
  /** Whoever runs them, and whether we know of them or not. */
  readonly kvmGuests: readonly KvmGuest[]
}

export function readHostFacts(): HostFacts {
  const commandLine = kernelCommandLineText()
  const { firmware, occupants } = readMachineMemory(carveOuts(splitCommandLine(commandLine)))
  return {
    release: kernelRelease().text,
    commandLine,
    isPrivileged: hasCapability(CAP_SYS_BOOT) && hasCapability(CAP_SYS_ADMIN),
    kexec: kexecState(),
    availableBytes: memoryInfo().availableBytes,
    hasSystemd: existsSync('/run/systemd/system'),
    hadInitrd: occupants.some(({ what }) => what === 'initrd'),
    firmware,
    regions: readDaxRegions().flatMap(({ isCarveOut, startByte, sizeBytes }) =>
      isCarveOut && startByte !== undefined ? [{ start: startByte, lengthBytes: sizeBytes }] : [],
    ),
    liveUpdate: liveUpdateState(),
    version: readFileSync('/proc/version', 'latin1'),
    kvmGuests: kvmGuests(),
  }
}

/** Others have the device open for moments: asked more than once. */
function liveUpdateState(): HostFacts['liveUpdate'] {
  if (!hasLiveUpdate()) return undefined
  const deadline = performance.now() + BUSY_PATIENCE_MS
  for (;;) {
    const failed = withLiveUpdate(() => undefined)
    if (failed === undefined) return 'ready'
    if (failed !== EBUSY) return failed === EIO ? 'broken' : undefined
    if (performance.now() > deadline) return 'busy'
    sleepBlocking(BUSY_RETRY_MS)
  }
}

const BUSY_PATIENCE_MS = 1000
const BUSY_RETRY_MS = 20

/** The kernel reads both files into memory before it places them (kernel_read_file, then kexec_add_buffer). */
const COPIES = 2
const RESERVE_BYTES = 64 * MIB

/** `loadBytes`: kernel and initrd. */
export function checkHost(
  facts: HostFacts,
  wanted: { readonly via: KexecMethod; readonly loadBytes: number; readonly hasInitrd: boolean },
): PreflightFinding[] {
  const { kexec, availableBytes } = facts
  const findings: PreflightFinding[] = []
  if (!facts.isPrivileged)
    findings.push(refuse('a kexec needs root (CAP_SYS_BOOT and CAP_SYS_ADMIN): run it with sudo'))
  if (!kexec.exists) findings.push(refuse('this kernel has no kexec (CONFIG_KEXEC_FILE)'))
  if (kexec.isDisabled)
    findings.push(
      refuse('loading a kernel is switched off until the next boot (sysctl kernel.kexec_load_disabled)'),
    )
  if (kexec.lockdown !== undefined && kexec.lockdown !== 'none')
    findings.push(
      warn(
        `this kernel is locked down (${kexec.lockdown}): it loads only a kernel whose signature it trusts`,
      ),
    )
  if (kexec.isLoaded) findings.push(warn('a kernel is loaded for kexec already: this one takes its place'))
  if (wanted.via === 'systemctl' && !facts.hasSystemd)
    findings.push(refuse('--via systemctl needs systemd, which does not run here: use --via kexec'))
  const needed = wanted.loadBytes * COPIES + RESERVE_BYTES
  if (availableBytes < needed)
    findings.push(
      refuse(
        `loading the next kernel takes ${formatSize(needed)} of memory, ${formatSize(availableBytes)} are free: free some`,
      ),
    )
  if (facts.hadInitrd && !wanted.hasInitrd)
    findings.push(warn('no --initrd is given, and this kernel was started with one'))
  return findings
}
