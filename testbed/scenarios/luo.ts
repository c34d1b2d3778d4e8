/** Owns what scenarios on the live update orchestrator have in common: the kernel, the words it is booted with, a pool of memfds. */

/** Built by `npm run testbed:kernel`. */
export const LUO_KERNEL = 'luo'

export const LUO_WORDS = 'kho=on liveupdate=on'

/** Huge pages for shared memory, as `guestmemfs doctor --fix` sets them, and the pool as fstab would mount it. */
export const MOUNT_MEMFDS = `echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled
mkdir -p /mnt/guestmemfs
guestmemfs mount guestmemfs /mnt/guestmemfs -o size=1G,session-files=60`

/**
 * A guest of its own name and RAM file, `mebibytes` large, as `guestmemfs run` takes it. Its serial port goes where the next QEMU finds it
 * again, in the next kernel, too.
 */
export const tinyQemu = (name: string, mebibytes: number): string =>
  `qemu-system-x86_64 -machine q35,memory-backend=pc.ram -accel kvm -cpu host -m ${mebibytes}M \\
  -object memory-backend-file,id=pc.ram,size=${mebibytes}M,mem-path=/mnt/guestmemfs/${name}-ram,share=on,prealloc=off \\
  -nodefaults -display none -kernel /opt/testbed/files/${name} \\
  -chardev file,id=serial,path=/run/testbed/logs/${name},append=on -serial chardev:serial`
