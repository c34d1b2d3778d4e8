/**
 * Reads the host's real page tables from QEMU's monitor: which physical memory the kernel maps for itself.
 * `info mem` gives ranges of virtual addresses, `info tlb` single entries with their physical address
 * (target/i386/monitor.c in QEMU). Both are of one processor's tables at one moment; the kernel's half of
 * them is the same for all.
 */

export interface PhysicalRange {
  readonly start: number
  readonly lengthBytes: number
}

export interface KernelMappings {
  /** The start of the direct map by most of its entries (page_offset_base; random with KASLR). */
  readonly directMapBase: bigint
  /** Physical ranges that the direct map covers. */
  readonly direct: readonly PhysicalRange[]
  /** Physical addresses of all the kernel's entries, by any virtual address. */
  readonly entries: readonly number[]
}

const KERNEL_HALF = 1n << 63n
/** No machine has more memory: above it there are other regions than the direct map. */
const DIRECT_MAP_BYTES = 1n << 46n

/**
 * `infoMem` and `infoTlb`: the monitor's answers to `info mem` and `info tlb`. Throws when they show no
 * kernel.
 */
export function kernelMappings(infoMem: string, infoTlb: string): KernelMappings {
  const entries = [...infoTlb.matchAll(/^([0-9a-f]{16}): ([0-9a-f]{16}) (\S+)$/gm)]
    .map(([, virtual, physical, flags]) => ({
      virtual: BigInt(`0x${virtual}`),
      physical: BigInt(`0x${physical}`),
      isKernels: !flags?.includes('U'),
    }))
    .filter(({ virtual, isKernels }) => virtual >= KERNEL_HALF && isKernels)
  const counts = new Map<bigint, number>()
  for (const { virtual, physical } of entries)
    counts.set(virtual - physical, (counts.get(virtual - physical) ?? 0) + 1)
  const [most] = [...counts].toSorted(([, one], [, other]) => other - one)
  if (most === undefined) throw new Error(`the page tables show no kernel: ${infoTlb.slice(0, 200)}`)
  const [directMapBase] = most
  const direct = [...infoMem.matchAll(/^([0-9a-f]{16})-([0-9a-f]{16}) [0-9a-f]{16} (\S+)$/gm)].flatMap(
    ([, from, to, flags]) => {
      const [start, end] = [BigInt(`0x${from}`) - directMapBase, BigInt(`0x${to}`) - directMapBase]
      if (flags?.startsWith('u') || start < 0n || start >= DIRECT_MAP_BYTES) return []
      return [{ start: Number(start), lengthBytes: Number(end - start) }]
    },
  )
  if (direct.length === 0) throw new Error(`the page tables show no direct map: ${infoMem.slice(0, 200)}`)
  return { directMapBase, direct, entries: entries.map(({ physical }) => Number(physical)) }
}

/**
 * How many bytes of `ranges` the direct map covers, and how many other entries of the kernel map a part of
 * them.
 */
export function visibleBytes(
  { direct, entries }: KernelMappings,
  ranges: readonly PhysicalRange[],
): { readonly direct: number; readonly entries: number } {
  let bytes = 0
  let others = 0
  for (const { start, lengthBytes } of ranges) {
    const end = start + lengthBytes
    for (const each of direct)
      bytes += Math.max(0, Math.min(end, each.start + each.lengthBytes) - Math.max(start, each.start))
    for (const physical of entries) if (physical >= start && physical < end) others++
  }
  return { direct: bytes, entries: others }
}
