/** Checks that this machine can kexec, whatever its pools and guests are. Pure. */
import { type Finding, fail, warn } from '../../values/finding.ts'
import { formatSize } from '../../values/size.ts'
import { MIB } from '../../values/units.ts'
import type { HostFacts } from './host-facts.ts'

/** How the machine jumps: at once by reboot(2), or through systemd. */
export const KEXEC_METHODS = ['kexec', 'systemctl'] as const
export type KexecMethod = (typeof KEXEC_METHODS)[number]

/**
 * The kernel reads both files into memory before it places them (kernel_read_file, then kexec_add_buffer).
 */
const COPIES = 2
const RESERVE_BYTES = 64 * MIB

/** `loadBytes`: kernel and initrd. */
export function checkHost(
  facts: HostFacts,
  wanted: { readonly via: KexecMethod; readonly loadBytes: number; readonly hasInitrd: boolean },
): Finding[] {
  const { kexec, availableBytes } = facts
  const findings: Finding[] = []
  if (!facts.isPrivileged)
    findings.push(fail('host', 'a kexec needs root (CAP_SYS_BOOT and CAP_SYS_ADMIN): run it with sudo'))
  if (!kexec.exists) findings.push(fail('host', 'this kernel has no kexec (CONFIG_KEXEC_FILE)'))
  if (kexec.isDisabled)
    findings.push(
      fail(
        'host',
        'loading a kernel is switched off until the next boot (sysctl kernel.kexec_load_disabled)',
      ),
    )
  if (kexec.lockdown !== undefined && kexec.lockdown !== 'none')
    findings.push(
      warn(
        'host',
        `this kernel is locked down (${kexec.lockdown}): it loads only a kernel whose signature it trusts`,
      ),
    )
  if (kexec.isLoaded)
    findings.push(warn('host', 'a kernel is loaded for kexec already: this one takes its place'))
  if (wanted.via === 'systemctl' && !facts.hasSystemd)
    findings.push(fail('host', '--via systemctl needs systemd, which does not run here: use --via kexec'))
  const needed = wanted.loadBytes * COPIES + RESERVE_BYTES
  if (availableBytes < needed)
    findings.push(
      fail(
        'host',
        `loading the next kernel takes ${formatSize(needed)} of memory, ${formatSize(availableBytes)} are free: free some`,
      ),
    )
  if (facts.hadInitrd && !wanted.hasInitrd)
    findings.push(warn('initrd', 'no --initrd is given, and this kernel was started with one'))
  return findings
}
