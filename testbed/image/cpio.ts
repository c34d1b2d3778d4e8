/**
 * Writes cpio archives in the "newc" format, which is what the kernel unpacks as initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Parents must be given before their children.
 */
const S_IFDIR = 0o040000
const S_IFREG = 0o100000
const S_IFLNK = 0o120000
const S_IFCHR = 0o020000
const HEADER_FIELDS = 13

/**
 * `mode` is the permission bits alone. Owner is always root, times are 0: the same entries make the same
 * bytes.
 */
export type CpioEntry = { readonly path: string; readonly mode?: number } & (
  | { readonly type: 'folder' }
  | { readonly type: 'file'; readonly bytes: Uint8Array }
  | { readonly type: 'symlink'; readonly target: string }
  | { readonly type: 'character device'; readonly major: number; readonly minor: number }
)

/** The whole archive, with its trailer. */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  const parts = entries.flatMap((entry, index) => writeEntry(entry, index + 1))
  const trailer = writeHeader({ path: 'TRAILER!!!', ino: 0, mode: 0, size: 0, rdev: [0, 0] })
  return Buffer.concat([...parts, trailer])
}

function writeEntry(entry: CpioEntry, ino: number): Buffer[] {
  const content = contentOf(entry)
  const rdev: readonly [number, number] =
    entry.type === 'character device' ? [entry.major, entry.minor] : [0, 0]
  const header = writeHeader({ path: entry.path, ino, mode: modeOf(entry), size: content.length, rdev })
  return [header, content, padding(content.length)]
}

function contentOf(entry: CpioEntry): Buffer {
  if (entry.type === 'file')
    return Buffer.from(entry.bytes.buffer, entry.bytes.byteOffset, entry.bytes.length)
  return entry.type === 'symlink' ? Buffer.from(entry.target) : Buffer.alloc(0)
}

function modeOf(entry: CpioEntry): number {
  switch (entry.type) {
    case 'folder':
      return S_IFDIR | (entry.mode ?? 0o755)
    case 'file':
      return S_IFREG | (entry.mode ?? 0o644)
    case 'symlink':
      return S_IFLNK | 0o777
    case 'character device':
      return S_IFCHR | (entry.mode ?? 0o600)
  }
}

interface Header {
  readonly path: string
  readonly ino: number
  readonly mode: number
  readonly size: number
  readonly rdev: readonly [major: number, minor: number]
}

/** Magic, thirteen fields of eight hexadecimal digits, then the name; all together padded to four bytes. */
function writeHeader({ path, ino, mode, size, rdev }: Header): Buffer {
  const name = Buffer.from(`${path}\0`)
  const [uid, gid, nlink, mtime, devMajor, devMinor, check] = [0, 0, 1, 0, 0, 0, 0]
  const fields = [ino, mode, uid, gid, nlink, mtime, size, devMajor, devMinor, ...rdev, name.length, check]
  const digits = fields.map((field) => field.toString(16).padStart(8, '0')).join('')
  const length = 6 + HEADER_FIELDS * 8 + name.length
  return Buffer.concat([Buffer.from(`070701${digits}`), name, padding(length)])
}

const padding = (length: number): Buffer => Buffer.alloc(-length & 3)
