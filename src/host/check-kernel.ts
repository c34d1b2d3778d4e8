/** The doctor's findings about the kernel and this process's rights in it. Must not: change anything. */
import { existsSync } from 'node:fs'
import { CAP_SYS_ADMIN, CAP_SYS_BOOT, hasCapability } from '../linux/capabilities.ts'
import { kernelCommandLine, kernelRelease } from '../linux/memory-info.ts'
import { type Finding, fail, ok, warn } from '../values/finding.ts'
import { isConfigured, kernelConfig } from './kernel-config.ts'
import { luoDoubt } from './luo-kernels.ts'
import { atLeast, formatVersion, type Version } from './version.ts'

/** FUSE passthrough came with 6.9 (fs/fuse/backing.c). */
const KERNEL_MINIMUM: Version = { major: 6, minor: 9 }

/** CAP_SYS_ADMIN: for mounting. CAP_SYS_BOOT: for a kexec. */
export function checkPrivileges(): Finding {
  if (!hasCapability(CAP_SYS_ADMIN))
    return fail('privileges', 'no CAP_SYS_ADMIN', 'mounting needs root: try again with sudo')
  if (!hasCapability(CAP_SYS_BOOT))
    return warn('privileges', 'no CAP_SYS_BOOT', 'a kernel update needs it; all else works')
  return ok('privileges', 'CAP_SYS_ADMIN and CAP_SYS_BOOT')
}

export function checkKernel(): Finding {
  const release = kernelRelease()
  if (atLeast(release, KERNEL_MINIMUM)) return ok('kernel', `Linux ${release.text}`)
  return fail(
    'kernel',
    `Linux ${release.text}`,
    `FUSE passthrough needs Linux ${formatVersion(KERNEL_MINIMUM)} or newer`,
  )
}

/** LUO and KHO (since Linux 6.19): whether memfds could outlive this kernel. */
export function checkLiveUpdate(): Finding {
  const name = 'live update orchestrator'
  if (existsSync('/dev/liveupdate')) {
    const doubt = luoDoubt(kernelRelease())
    return doubt === undefined
      ? ok(name, '/dev/liveupdate is there')
      : warn(name, '/dev/liveupdate is there', doubt.why)
  }
  const config = kernelConfig(kernelRelease().text)
  if (config === undefined)
    return warn(name, 'no /dev/liveupdate', 'without it the memfd store does not outlive a kexec')
  if (!isConfigured(config, 'CONFIG_LIVEUPDATE')) {
    return warn(
      name,
      'this kernel has no CONFIG_LIVEUPDATE',
      'without it the memfd store does not outlive a kexec',
    )
  }
  const off = ['kho=on', 'liveupdate=on'].filter((word) => !kernelCommandLine().includes(word))
  return warn(name, 'built in, but not started', `boot with ${off.join(' ')} on the kernel command line`)
}
