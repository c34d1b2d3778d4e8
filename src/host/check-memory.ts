/**
 * The doctor's findings about memory: huge pages, swap. Must not: change anything but by a fix that the
 * operator agrees to.
 */
import { close } from '../linux/descriptors.ts'
import { mapShared, memfdCreate, collapse as requestCollapse, resize } from '../linux/memory.ts'
import { memoryInfo, SHMEM_ENABLED, setShmemHugePages, shmemHugePages } from '../linux/memory-info.ts'
import { Errno } from '../values/errno.ts'
import { errorText, UsageError } from '../values/errors.ts'
import { type Finding, fail, ok, warn } from '../values/finding.ts'
import { formatSize } from '../values/size.ts'
import { MIB } from '../values/units.ts'
import { type FixableFinding, fixable } from './fix.ts'

/**
 * Modes under which a memfd gets 2 MiB pages where the process that maps it asks for them (`MADV_HUGEPAGE`,
 * as QEMU does).
 */
const HUGE_MODES = new Set(['always', 'within_size', 'advise', 'force'])

/** The kernel's default is `never` in many places: mappings then have 4 KiB pages, without a message. */
export function checkHugePages(): FixableFinding {
  const mode = shmemHugePages()
  if (mode instanceof Errno) {
    return warn(
      'huge pages',
      'this kernel has none for shared memory',
      'guest RAM is mapped in 4 KiB pages: more TLB misses',
    )
  }
  if (HUGE_MODES.has(mode)) return ok('huge pages', `shmem_enabled is ${mode}`)
  const found = warn(
    'huge pages',
    `shmem_enabled is ${mode}: guest RAM is mapped in 4 KiB pages`,
    `echo advise > ${SHMEM_ENABLED}`,
  )
  return fixable(found, {
    question: `Set ${SHMEM_ENABLED} to advise (until the next boot)?`,
    apply: (report) => {
      const refused = setShmemHugePages('advise')
      if (refused) throw new UsageError(`${SHMEM_ENABLED}: ${refused.name}`)
      report('memory that asks for huge pages gets them, from the next mapping on')
    },
  })
}

/** memfd_create(2), and MADV_COLLAPSE on it, which makes huge pages whatever the setting says. */
export function checkMemfd(): Finding {
  let fd: ReturnType<typeof memfdCreate>
  try {
    fd = memfdCreate('guestmemfs-doctor', { sealable: false })
  } catch (error) {
    const reason = errorText(error)
    return fail('memfd', reason, 'boot a kernel with CONFIG_MEMFD_CREATE=y')
  }
  // Four MiB hold one aligned run of two wherever the mapping begins.
  const refused = resize(fd, 4 * MIB) ?? requestCollapse(mapShared(fd, 4 * MIB).fill(1))
  close(fd)
  if (refused)
    return warn('memfd', `MADV_COLLAPSE: ${refused.name}`, 'huge pages then depend on shmem_enabled alone')
  return ok('memfd', 'there, and MADV_COLLAPSE makes huge pages of it')
}

export function checkSwap(): Finding {
  const { swapTotalBytes } = memoryInfo()
  if (swapTotalBytes === 0) return ok('swap', 'off')
  return warn(
    'swap',
    `${formatSize(swapTotalBytes)} of swap: guest RAM may be written to disk`,
    'swapoff -a, or keep guests in a cgroup with memory.swap.max=0',
  )
}
