/** The doctor's finding about memory that failed since the host was booted. Must not: change anything. */
import { type MemoryInfo, memoryInfo } from '../linux/memory-info.ts'
import { type Finding, ok, warn } from '../values/finding.ts'
import { formatSize } from '../values/size.ts'

const NAME = 'memory failures'

/**
 * By the kernel's own count, which has pages of device-dax, but none without struct pages: those of the store
 * `devmem` are in its log alone.
 */
export function checkMemoryFailures(info: Pick<MemoryInfo, 'failedBytes'> = memoryInfo()): Finding {
  const { failedBytes } = info
  if (failedBytes === undefined)
    return warn(
      NAME,
      'this kernel does not handle them: memory that cannot be corrected ends the host',
      'boot a kernel with CONFIG_MEMORY_FAILURE=y',
    )
  if (failedBytes === 0) return ok(NAME, 'none since the host was booted')
  return warn(
    NAME,
    `${formatSize(failedBytes)} of the host's memory has failed since it was booted`,
    '\'dmesg | grep "Memory failure"\' has the pages; have the memory replaced',
  )
}
