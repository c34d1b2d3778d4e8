/**
 * kexec: a kernel is loaded, unloaded, started. Must not: save anything before. Always kexec_file_load(2),
 * the call that checks signatures and supports Kexec HandOver; kexec_load(2) does neither. Sources:
 * kernel/kexec_file.c, kernel/reboot.c, include/uapi/linux/kexec.h.
 */
import { ENOSYS, type Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { errnoUnlessZero, libcCall } from './library.ts'
import { kernelLockdown } from './lockdown.ts'
import { readIfReadable } from './readable-file.ts'

const syscall = libcCall('syscall', 'long', ['long', 'int', 'int', 'ulong', 'str', 'ulong'])
const libcReboot = libcCall('reboot', 'int', ['int'])
const libcSync = libcCall('sync', 'int', [])

/** kexec_file_load is older than the numbers that all architectures share. */
const NUMBERS: Readonly<Record<string, number>> = { x64: 320, arm64: 294 }
const KEXEC_FILE_UNLOAD = 1
const KEXEC_FILE_NO_INITRAMFS = 4
/** LINUX_REBOOT_CMD_KEXEC, include/uapi/linux/reboot.h. */
const RB_KEXEC = 0x45584543

/**
 * Loads a kernel in place of the one loaded before, if any. Takes as long as reading both files. Errors:
 * EPERM (no CAP_SYS_BOOT, switched off, locked down), EKEYREJECTED and ENODATA (signature), ENOEXEC (no
 * kernel), EINVAL (command line too long), ENOMEM, EADDRNOTAVAIL (no room), EBUSY, ENOSYS.
 */
export function loadKernel(kernel: Fd, initrd: Fd | undefined, commandLine: string): Errno | undefined {
  const lengthBytes = Buffer.byteLength(commandLine) + 1
  const flags = initrd === undefined ? KEXEC_FILE_NO_INITRAMFS : 0
  return kexecFileLoad(kernel, initrd ?? (-1 as Fd), lengthBytes, commandLine, flags)
}

/** No kernel is loaded any more. No error where none was. */
export function unloadKernel(): Errno | undefined {
  return kexecFileLoad(-1 as Fd, -1 as Fd, 0, '', KEXEC_FILE_UNLOAD)
}

function kexecFileLoad(
  kernel: Fd,
  initrd: Fd,
  lengthBytes: number,
  text: string,
  flags: number,
): Errno | undefined {
  const number = NUMBERS[process.arch]
  if (number === undefined) return ENOSYS
  // SAFETY: the kernel reads lengthBytes of `text`, which koffi keeps as NUL-terminated UTF-8 during the
  // call.
  return errnoUnlessZero(syscall(number, kernel, initrd, lengthBytes, text, flags))
}

/**
 * The kexec, at once: no process gets a signal. Returns only if it failed: EINVAL (none is loaded), EPERM,
 * EBUSY.
 */
export function rebootByKexec(): Errno | undefined {
  return errnoUnlessZero(libcReboot(RB_KEXEC))
}

/** Every file system's dirty pages are on disk when this returns. */
export function syncFileSystems(): void {
  libcSync()
}

/** Of the limit of loads. */
const UNLIMITED = '-1'

export interface KexecState {
  /** False: this kernel has no kexec (CONFIG_KEXEC_FILE), or hides it. */
  readonly exists: boolean
  /** A kernel is loaded, which a kexec would start. */
  readonly isLoaded: boolean
  /**
   * Until the next boot, no process may load one (sysctl kernel.kexec_load_disabled,
   * kexec_load_limit_reboot).
   */
  readonly isDisabled: boolean
  /**
   * How many calls of kexec_file_load the kernel still permits until the next boot (sysctl
   * kernel.kexec_load_limit_reboot); an unload counts as well, as the limit is looked at first. undefined:
   * any number.
   */
  readonly callsLeft: number | undefined
  /** `none`, `integrity` or `confidentiality`; undefined where there is no lockdown. */
  readonly lockdown: string | undefined
}

export function kexecState(): KexecState {
  const isLoaded = text('/sys/kernel/kexec_loaded')
  const limit = text('/proc/sys/kernel/kexec_load_limit_reboot') ?? UNLIMITED
  return {
    exists: isLoaded !== undefined,
    isLoaded: isLoaded === '1',
    isDisabled: text('/proc/sys/kernel/kexec_load_disabled') === '1' || limit === '0',
    callsLeft: limit === UNLIMITED ? undefined : Number(limit),
    lockdown: kernelLockdown(),
  }
}

const text = (path: string): string | undefined => readIfReadable(path)?.toString('latin1').trim()
