/**
 * The size of a new pool: as the mount's `size=` has it, else as the kernel's command line has it, else half
 * of the RAM.
 */
import { kernelCommandLine, memoryInfo } from '../linux/memory-info.ts'
import { BLOCK_BYTES } from '../stores/store.ts'
import { UsageError } from '../values/errors.ts'
import { formatSize, parseSize } from '../values/size.ts'

/** The kernel parameter of the guestmemfs kernel patches: `guestmemfs=10G`. */
const KERNEL_PARAMETER = 'guestmemfs='
const DEFAULT_SHARE_OF_RAM = 0.5

/** A size rounded down to whole blocks, which is what a pool gets of it. */
export const wholeBlocks = (bytes: number): number => Math.floor(bytes / BLOCK_BYTES) * BLOCK_BYTES

/**
 * Bytes, a whole number of blocks. Errors: UsageError when it is unreadable, smaller than a block or larger
 * than the RAM.
 */
export function choosePoolSize(
  asked: number | undefined,
  machine = { totalBytes: memoryInfo().totalBytes, commandLine: kernelCommandLine() },
): number {
  const parameter = machine.commandLine.findLast((word) => word.startsWith(KERNEL_PARAMETER))
  const fromKernel =
    parameter === undefined
      ? undefined
      : parseSize(parameter.slice(KERNEL_PARAMETER.length), `kernel parameter ${KERNEL_PARAMETER}`)
  const wanted = asked ?? fromKernel ?? machine.totalBytes * DEFAULT_SHARE_OF_RAM
  if (wanted > machine.totalBytes) {
    throw new UsageError(
      `size ${formatSize(wanted)} is larger than this machine's memory (${formatSize(machine.totalBytes)}): ask for less`,
    )
  }
  const bytes = wholeBlocks(wanted)
  if (bytes === 0)
    throw new UsageError(
      `size ${formatSize(wanted)} is smaller than one block of ${formatSize(BLOCK_BYTES)}: ask for more`,
    )
  return bytes
}
