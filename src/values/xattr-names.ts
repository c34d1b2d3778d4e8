/**
 * Flags and names of extended attributes. By these names commands read and control a mount. Persistent:
 * images and other versions' programs have these spellings.
 */

/** Flags of setxattr(2), which FUSE passes on. */
export const XATTR_CREATE = 1
export const XATTR_REPLACE = 2

/** Answered by the file system: `guestmemfs.NAME`. */
export const VIRTUAL_PREFIX = 'guestmemfs.'
export const MAP_XATTR = 'guestmemfs.map'
export const POOL_XATTR = 'guestmemfs.pool'
/** Set by root, too: to a version of the image's format, to which the server upgrades the image. */
export const FORMAT_XATTR = 'guestmemfs.format'

/** Set by root. */
export const CONTROL_PREFIX = 'trusted.guestmemfs.'
export const FROZEN_XATTR = 'trusted.guestmemfs.frozen'
export const SIZE_XATTR = 'trusted.guestmemfs.size'
export const VM_XATTR = 'trusted.guestmemfs.vm'
export const UPDATE_XATTR = 'trusted.guestmemfs.update'
export const NODE_XATTR = 'trusted.guestmemfs.node'
export const HANDOVER_XATTR = 'trusted.guestmemfs.handover'
/**
 * Kept like any xattr, also by a server of a former version, which refuses every control that it does not
 * implement.
 */
export const RAM_CLAIMS_XATTR = 'trusted.guestmemfs-ram-claims'
export const ALIGN_XATTR = 'trusted.guestmemfs.align'
