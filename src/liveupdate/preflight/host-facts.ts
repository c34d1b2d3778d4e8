/**
 * What a kexec depends on in this machine: capabilities, the kernel's switches, memory for the next kernel,
 * and the memory map that both kernels begin with. Only reads them: the checks are in other files.
 */
import { existsSync, readFileSync } from 'node:fs'
import { carveOuts } from '../../bootmem/carve-out.ts'
import { readMachineMemory } from '../../bootmem/machine-memory.ts'
import type { E820Entry } from '../../bootmem/memory-map.ts'
import { type BootMounts, readBootMounts } from '../../host/boot-mounts.ts'
import { type NextBoot, readNextBoot } from '../../host/next-boot.ts'
import { CAP_SYS_ADMIN, CAP_SYS_BOOT, hasCapability } from '../../linux/capabilities.ts'
import { rangeOfRegion, readDaxRegions } from '../../linux/dax.ts'
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
import { EBUSY, EIO } from '../../values/errno.ts'

/**
 * The result of opening /dev/liveupdate. `broken`: this kernel could not read what the former one handed
 * over.
 */
export type LiveUpdateDevice = 'ready' | 'busy' | 'broken'

const BUSY_PATIENCE_MS = 1000

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
  /** Every region of set-aside memory, in use or not. */
  readonly regions: readonly PhysicalRange[]
  /** undefined: this kernel has no live update orchestrator, or its command line does not enable it. */
  readonly liveUpdate: LiveUpdateDevice | undefined
  /** /proc/version. */
  readonly version: string
  /** All guests of this host, recorded in a pool or not. */
  readonly kvmGuests: readonly KvmGuest[]
  /** The guestmemfs that this machine starts at boot. */
  readonly nextBoot: NextBoot
  readonly bootMounts: BootMounts
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
    regions: readDaxRegions().flatMap((region) => (region.isCarveOut && rangeOfRegion(region)) || []),
    liveUpdate: liveUpdateState(),
    version: readFileSync('/proc/version', 'latin1'),
    kvmGuests: kvmGuests(),
    nextBoot: readNextBoot(),
    bootMounts: readBootMounts(),
  }
}

function liveUpdateState(): LiveUpdateDevice | undefined {
  if (!hasLiveUpdate()) return undefined
  const failed = withLiveUpdate(() => undefined, BUSY_PATIENCE_MS)
  if (failed === undefined) return 'ready'
  return failed === EBUSY ? 'busy' : failed === EIO ? 'broken' : undefined
}
