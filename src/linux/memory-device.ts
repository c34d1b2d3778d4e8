/**
 * /dev/mem: mappings of physical memory that no kernel uses as RAM. Never opened with O_SYNC or O_DSYNC,
 * which would make the mapping uncached (phys_mem_access_prot_allowed(), arch/x86/mm/pat/memtype.c); without,
 * memory is mapped write-back where the MTRRs allow that, as they do for RAM (pat_x_mtrr_type()). Source:
 * drivers/char/mem.c.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import type { DeviceNumber } from './device-node.ts'
import { errnoOfNodeError } from './library.ts'
import type { PhysicalRange } from './memory-ranges.ts'
import { mapRaw, type RawMapping } from './raw-memory.ts'

export const MEMORY_PATH = '/dev/mem'
/** Whatever the node is called (Documentation/admin-guide/devices.txt). */
export const MEMORY_DEVICE: DeviceNumber = '1:1'

/**
 * Close-on-exec. Errors: ENOENT (CONFIG_DEVMEM is off), EACCES, EPERM (no CAP_SYS_RAWIO, or the kernel is
 * locked down).
 */
export function openMemory(path: string, { writable }: { writable: boolean }): Fd | Errno {
  try {
    return openSync(path, writable ? constants.O_RDWR : constants.O_RDONLY) as Fd
  } catch (error) {
    return errnoOfNodeError(error)
  }
}

/**
 * The range, mapped by address, every page of it at once. Errors: those of `openMemory`; EPERM
 * (CONFIG_STRICT_DEVMEM: it is ordinary RAM, or a driver has it), EINVAL (beyond what the processor can
 * address).
 */
export function mapMemory(
  path: string,
  { start, lengthBytes }: PhysicalRange,
  { writable }: { writable: boolean },
): RawMapping | Errno {
  const fd = openMemory(path, { writable })
  if (fd instanceof Errno) return fd
  try {
    // SAFETY: the caller owns the range, which is set aside for it, and no kernel stores there.
    return mapRaw(fd, lengthBytes, { writable, offset: start })
  } finally {
    closeSync(fd)
  }
}
