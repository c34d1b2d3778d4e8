/** Carve-outs of scenarios, as words of the kernel command line. */

/**
 * 1 GiB at 4 GiB, where the second half of a 4G q35 machine begins. KASLR reads `memmap=SIZE%…` as `mem=SIZE`
 * and so stays below 1 GiB.
 */
export const CARVE_OUT = 'memmap=1G%4G-1+0xefffffff modprobe.blacklist=kmem'

/** Two of 512 MiB, with memory of the host's between them: two regions. */
export const TWO_CARVE_OUTS =
  'memmap=512M%4G-1+0xefffffff memmap=512M%5G-1+0xefffffff modprobe.blacklist=kmem'

/** The same memory, reserved: no struct pages, not in the direct map. KASLR avoids it by itself. */
export const RESERVED = 'memmap=1G$4G'

/** The pool in it, where a stock kernel mounts it. */
export const MOUNT = 'guestmemfs mount guestmemfs /mnt/guestmemfs -o store=dax'
