/** Carve-outs that scenarios boot with: words that make the kernels leave them alone. */

/**
 * 1 GiB at 4 GiB, where the second half of a 4G q35 machine begins. KASLR takes `memmap=SIZE%…` for
 * `mem=SIZE` and so stays below 1 GiB.
 */
export const CARVE_OUT = 'memmap=1G%4G-1+0xefffffff modprobe.blacklist=kmem'

/** The same memory, reserved: no struct pages, not in the direct map. KASLR itself keeps away. */
export const RESERVED = 'memmap=1G$4G'
