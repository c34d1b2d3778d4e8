/** The doctor's findings about FUSE. The probe mounts and unmounts; nothing else is touched. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { kernelRelease } from '../linux/memory-info.ts'
import { Errno } from '../values/errno.ts'
import { errorText, UsageError } from '../values/errors.ts'
import { type Finding, fail, ok } from '../values/finding.ts'
import { type FixableFinding, fixable } from './fix.ts'
import { probeFuse } from './fuse-probe.ts'
import { isConfigured, kernelConfig } from './kernel-config.ts'
import { atLeast, formatVersion, type Version } from './version.ts'

/** 7.40 brought passthrough and FUSE_NOTIFY_RESEND, both of which the file system needs. */
const PROTOCOL_MINIMUM: Version = { major: 7, minor: 40 }

export function checkFuseDevice(): FixableFinding {
  if (existsSync('/dev/fuse')) return ok('/dev/fuse', 'there')
  return fixable(fail('/dev/fuse', 'not there', 'load the module: modprobe fuse'), {
    question: 'Load the kernel module fuse?',
    apply: () => {
      const { status, stderr } = spawnSync('modprobe', ['fuse'], { encoding: 'utf8' })
      if (status !== 0) throw new UsageError(`modprobe fuse failed: ${(stderr ?? '').trim()}`)
    },
  })
}

/** Without the rights to mount: by the kernel's configuration alone. */
function fromConfig(reason: string): Finding {
  const config = kernelConfig(kernelRelease().text)
  if (config !== undefined && isConfigured(config, 'CONFIG_FUSE_PASSTHROUGH')) {
    return ok('FUSE passthrough', `CONFIG_FUSE_PASSTHROUGH is set (not tried: ${reason})`)
  }
  const detail = config === undefined ? `not known (${reason})` : 'CONFIG_FUSE_PASSTHROUGH is not set'
  return fail(
    'FUSE passthrough',
    detail,
    'boot a kernel with CONFIG_FUSE_PASSTHROUGH=y; as root this is tried for real',
  )
}

/** By a mount: what the kernel offers in its INIT request. */
export function checkFuseAbilities(): Finding {
  if (!existsSync('/dev/fuse')) return fromConfig('no /dev/fuse')
  let abilities: ReturnType<typeof probeFuse>
  try {
    abilities = probeFuse()
  } catch (error) {
    return fromConfig(errorText(error))
  }
  if (abilities instanceof Errno) return fromConfig(`mount: ${abilities.name}`)
  const version = formatVersion(abilities)
  if (!atLeast(abilities, PROTOCOL_MINIMUM)) {
    return fail(
      'FUSE passthrough',
      `protocol ${version}`,
      `needs protocol ${formatVersion(PROTOCOL_MINIMUM)}: boot a newer kernel`,
    )
  }
  if (!abilities.passthrough) {
    return fail(
      'FUSE passthrough',
      `protocol ${version}, without passthrough`,
      'boot a kernel with CONFIG_FUSE_PASSTHROUGH=y',
    )
  }
  return ok('FUSE passthrough', `tried: protocol ${version} with passthrough`)
}
