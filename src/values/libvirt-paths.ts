/** Paths that libvirt, its hook and guestmemfs have in common. */

export interface LibvirtPaths {
  /** Of libvirt: where it has its guests' RAM, among others. */
  readonly qemuConf: string
  /**
   * A saved domain UUID has `UUID.json`, its record, and `UUID`, a symlink to the folder of its RAM, for
   * which the hook looks. On the disk: a pool may be mounted later than libvirt starts.
   */
  readonly records: string
  /** `UUID` is there while guestmemfs itself starts that domain. */
  readonly starts: string
  readonly fstab: string
  readonly mounts: string
}

export const LIBVIRT_PATHS: LibvirtPaths = {
  qemuConf: '/etc/libvirt/qemu.conf',
  records: '/var/lib/guestmemfs/libvirt',
  starts: '/run/guestmemfs/libvirt',
  fstab: '/etc/fstab',
  mounts: '/proc/mounts',
}

/** Of libvirt: it has a `NAME.xml` and a `NAME.pid` there for each domain that is active. */
export const LIBVIRT_STATE = '/run/libvirt/qemu'

/** QEMU, as a domain with RAM in a carve-out has it as its `<emulator>`. */
export const EMULATOR = '/usr/bin/guestmemfs-qemu-system-x86_64'

/** Below a mount: the second names of the RAM of saved domains, by UUID. */
export const SAVED_RAM = '.libvirt-saved'

/** In a domain's folder: the device state of a saved one. */
export const DOMAIN_STATE = 'guestmemfs-state'

/** What libvirt makes below the folder that its configuration names. */
export const RAM_FOLDERS = 'libvirt/qemu'
