/** Parts of scenarios on the live update orchestrator: the kernel, its command line, a pool of memfds. */

/** Built by `npm run testbed:kernel`. */
export const LUO_KERNEL = 'luo'

export const LUO_WORDS = 'kho=on liveupdate=on'

/**
 * Huge pages for shared memory, as `guestmemfs doctor --fix` sets them, and the pool as fstab would mount it.
 */
export const mountMemfds = (program: string): string =>
  `echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled
mkdir -p /mnt/guestmemfs
${program} mount guestmemfs /mnt/guestmemfs -o size=1G,session-files=60`
export const MOUNT_MEMFDS = mountMemfds('guestmemfs')
