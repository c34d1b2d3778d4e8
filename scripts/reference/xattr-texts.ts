/** What holds for all xattrs of a mount, for the manual page and docs/reference. */

export const XATTR_PARAGRAPHS: readonly string[] = [
  `
    A mount of guestmemfs is read and controlled by extended attributes (xattr(7)) of its files: getfattr(1)
    and setfattr(1) are enough, and the commands of guestmemfs(8) use nothing else.`,
  `
    Values whose names begin with guestmemfs. are computed at each read, and neither stored nor listed. Each
    is JSON with integers, in the unit that the name of its field ends in. Fields are added in later versions:
    leave those alone that you do not know. A list that is longer than 64 KiB comes in pages: NAME or NAME.0
    is the first one, NAME.1 the next, and the first page that is not there answers ENODATA. Each page is a
    JSON array of its own.`,
  `
    Those whose names begin with trusted.guestmemfs. are not listed either, so that no copy of a file has
    them. An end of line after a value that is set is left out, but for those that are JSON objects.`,
  `
    A pool of the store *dax* shows guest RAM as symbolic links: there *-h* of getfattr(1) and setfattr(1)
    takes the attribute of the file itself.`,
]

/** Units of the fields and of the values that are set. */
export const UNITS_TEXT = `
  Fields that end in *Bytes* are in bytes, in *Blocks* in blocks of *blockBytes* (2 MiB), in *Ms* in
  milliseconds since 1970; *startedAt* is a time in ISO 8601. Of the values that are set that of
  *trusted.guestmemfs.size* is in decimal bytes alone, that of *trusted.guestmemfs.align* may have a unit, as
  *1G*.`

export const OTHER_XATTRS_TEXT = `
  Files have user., trusted. and security. attributes as on other file systems: 64 KiB a value, and 64 KiB for
  the list of names. Those that begin with system., and so ACLs, are refused with EOPNOTSUPP.`

/** Of each of them, also where its entry does not say so. */
export const XATTR_ERRORS: readonly (readonly [error: string, about: string])[] = [
  [
    'ENODATA',
    'There is no such xattr here; or a name that begins with trusted. is read without CAP_SYS_ADMIN.',
  ],
  [
    'EPERM',
    `
      One that no process can set is set or removed; or one that begins with trusted. is set without
      CAP_SYS_ADMIN.`,
  ],
  ['EBUSY', 'One that is stored is removed while the pool is frozen.'],
  ['ERANGE', 'The value is longer than the buffer of the caller.'],
  ['ENOTCONN', 'The processes of the pool have ended.'],
]

export const XATTR_EXAMPLES: readonly string[] = [
  'getfattr --only-values -n guestmemfs.health /mnt/guestmemfs',
  'setfattr -n trusted.guestmemfs.align -v 1G /mnt/guestmemfs/big',
  'setfattr -n trusted.guestmemfs.size -v 4294967296 /mnt/guestmemfs/ram',
]
