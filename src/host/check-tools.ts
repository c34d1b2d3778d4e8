/** The doctor's findings about what else is installed: QEMU, KVM, the service manager, the mount helper. */
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { type Finding, fail, ok, warn } from '../values/finding.ts'
import { THIS_HOST } from './apt.ts'
import { type FixableFinding, fixable } from './fix.ts'
import { LOCAL_PLACES, PACKAGE_PLACES } from './install-files.ts'
import { ensureQemu, installedQemu, QEMU_BINARY, QEMU_MINIMUM } from './qemu-package.ts'
import { atLeast, formatVersion } from './version.ts'

/** Each file of a pool is one descriptor of the server's and one of the keeper's. */
const DESCRIPTORS_WANTED = 65_536

export function checkQemu(): FixableFinding {
  const version = installedQemu()
  if (version && atLeast(version, QEMU_MINIMUM)) return ok('QEMU', `${QEMU_BINARY} ${formatVersion(version)}`)
  const detail = version
    ? `${QEMU_BINARY} ${formatVersion(version)} has no cpr-reboot`
    : `no ${QEMU_BINARY} on PATH`
  return fixable(fail('QEMU', detail, `install QEMU ${formatVersion(QEMU_MINIMUM)} or newer`), {
    question: 'Install QEMU with apt?',
    apply: async (report) => void (await ensureQemu(THIS_HOST, { yes: true }, report)),
  })
}

/**
 * The node may exist and open(2) of it answer ENODEV, so it is opened. It may also open where the CPU
 * virtualises nothing (kvm-pvm, in some virtual machines): such a KVM runs only kernels that were made for
 * it, and no ordinary guest.
 */
export function checkKvm(): Finding {
  const advice = 'guests run under software emulation (-accel tcg), many times slower'
  try {
    closeSync(openSync('/dev/kvm', 'r+'))
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    return warn('KVM', `/dev/kvm: ${code}`, advice)
  }
  const virtualises = /^flags\s*:.*\b(vmx|svm)\b/m.test(readFileSync('/proc/cpuinfo', 'latin1'))
  if (!virtualises) return warn('KVM', '/dev/kvm opens, but the CPU has neither vmx nor svm', advice)
  return ok('KVM', '/dev/kvm opens')
}

/**
 * The server raises its own soft limit, and as root the hard one, too; this is the one that it starts with.
 */
export function checkDescriptors(): Finding {
  const row = /^Max open files\s+(\S+)\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
  const ceiling = Number(readFileSync('/proc/sys/fs/nr_open', 'latin1'))
  const hard = row?.[2] === 'unlimited' ? ceiling : Number(row?.[2] ?? 0)
  const reach = process.getuid?.() === 0 ? Math.max(hard, ceiling) : hard
  if (reach >= DESCRIPTORS_WANTED) return ok('open files', `up to ${reach}`)
  return warn(
    'open files',
    `up to ${reach}`,
    `each file of a pool takes one: raise fs.nr_open to ${DESCRIPTORS_WANTED} or more`,
  )
}

export function checkServiceManager(): Finding {
  if (!existsSync('/run/systemd/system')) {
    return warn(
      'systemd',
      'not running',
      'a pool then lasts as long as its keeper process: no service manager restarts it',
    )
  }
  if ([LOCAL_PLACES, PACKAGE_PLACES].some(({ units }) => existsSync(`${units}/guestmemfs@.service`)))
    return ok('systemd', 'running, with the unit of guestmemfs')
  return warn(
    'systemd',
    'running, but the unit of guestmemfs is not installed',
    '`guestmemfs install`: a keeper then outlives the caller of mount, and systemd restarts it',
  )
}

export function checkMountHelper(): Finding {
  if (existsSync('/sbin/mount.guestmemfs')) return ok('mount helper', '/sbin/mount.guestmemfs')
  return warn(
    'mount helper',
    'not installed',
    '`guestmemfs install` makes `mount -t guestmemfs` and fstab lines work',
  )
}
