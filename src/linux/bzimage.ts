/**
 * A kernel image for x86-64, opened once: its header, and the descriptor through which all of it is read.
 * kexec_file_load(2) gets the same descriptor, so the kernel loads what was checked, whatever is renamed over
 * the path meanwhile. Only a write into the very file could still change it. Sources:
 * Documentation/arch/x86/boot.rst; bzImage64_probe(), arch/x86/kernel/kexec-bzimage64.c.
 */
import { ENOEXEC, Errno } from '../values/errno.ts'
import { KIB } from '../values/units.ts'
import { type OpenedFile, openFile } from './opened-file.ts'

export interface KernelImage extends OpenedFile {
  /** `kernel_version`, as `6.12.1 (root@host) #1 SMP …`. Equal builds have equal banners. */
  readonly banner: string
  /** What `uname -r` will print: the banner's first word. */
  readonly release: string
  /** Bytes of the longest command line that it takes. */
  readonly commandLineMax: number
  /** It has the 64-bit entry that kexec_file_load(2) requires. */
  readonly isLoadable: boolean
  /** Its length by its header. kexec_file_load(2) does not compare it: a truncated image would be started. */
  readonly expectedBytes: number
  /** The compressed kernel, and the four bytes of its unpacked size behind it; read at each call. */
  readonly payload: () => Buffer | Errno
}

/** Offsets in the setup header. */
const SETUP_SECTS = 0x1f1
const SYSSIZE = 0x1f4
const BOOT_FLAG = 0x1fe
const HEADER = 0x202
const VERSION = 0x206
const KERNEL_VERSION = 0x20e
const XLOADFLAGS = 0x236
const CMDLINE_SIZE = 0x238
const PAYLOAD_OFFSET = 0x248
const PAYLOAD_LENGTH = 0x24c

const BOOT_FLAG_MAGIC = 0xaa55
const HEADER_MAGIC = 'HdrS'
/** Boot protocol 2.12, the first with `xloadflags`. */
const OLDEST_VERSION = 0x020c
/** XLF_KERNEL_64 and XLF_CAN_BE_LOADED_ABOVE_4G. */
const XLF_NEEDED = 3
const SECTOR_BYTES = 512
const PARAGRAPH_BYTES = 16
/** What `setup_sects` of 0 means. */
const DEFAULT_SETUP_SECTS = 4
/** `kernel_version` counts from the end of the boot sector. */
const KERNEL_VERSION_BASE = 0x200
const MAX_BANNER_BYTES = 512
/** The header, and the banner wherever 16 bits of `kernel_version` put it. */
const HEAD_BYTES = 66 * KIB

/** Errors: ENOEXEC (no bzImage), and those of open(2) and read(2): ENOENT, EACCES, EISDIR and so on. */
export function openKernelImage(path: string): KernelImage | Errno {
  const file = openFile(path)
  if (file instanceof Errno) return file
  const head = readHead(file)
  if (head instanceof Errno) {
    file.close()
    return head
  }
  const setupBytes = ((head[SETUP_SECTS] || DEFAULT_SETUP_SECTS) + 1) * SECTOR_BYTES
  const banner = bannerIn(head)
  return {
    ...file,
    banner,
    release: banner.split(' ', 1)[0] as string,
    commandLineMax: head.readUInt32LE(CMDLINE_SIZE),
    isLoadable:
      head.readUInt16LE(VERSION) >= OLDEST_VERSION &&
      (head.readUInt16LE(XLOADFLAGS) & XLF_NEEDED) === XLF_NEEDED,
    expectedBytes: setupBytes + head.readUInt32LE(SYSSIZE) * PARAGRAPH_BYTES,
    payload: () => {
      const start = setupBytes + head.readUInt32LE(PAYLOAD_OFFSET)
      // A false header must not cause an allocation of more than the file has.
      const lengthBytes = Math.min(head.readUInt32LE(PAYLOAD_LENGTH), Math.max(0, file.sizeBytes - start))
      return file.read(start, lengthBytes)
    },
  }
}

/** HEAD_BYTES, zeros behind the end of a shorter file. */
function readHead(file: OpenedFile): Buffer | Errno {
  const bytes = file.read(0, HEAD_BYTES)
  if (bytes instanceof Errno) return bytes
  const head = Buffer.alloc(HEAD_BYTES)
  head.set(bytes)
  const isBzImage =
    head.readUInt16LE(BOOT_FLAG) === BOOT_FLAG_MAGIC &&
    head.toString('latin1', HEADER, HEADER + HEADER_MAGIC.length) === HEADER_MAGIC
  return isBzImage ? head : ENOEXEC
}

function bannerIn(head: Buffer): string {
  const start = head.readUInt16LE(KERNEL_VERSION) + KERNEL_VERSION_BASE
  return head.toString('latin1', start, start + MAX_BANNER_BYTES).split('\0', 1)[0] as string
}
