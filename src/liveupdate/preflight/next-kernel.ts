/**
 * Owns the files of the next kernel: whether they are what their names say, and what the kernel image tells about
 * itself. Reads their beginnings alone. Source: Documentation/arch/x86/boot.rst; what kexec_file_load(2) insists on is
 * bzImage64_probe(), arch/x86/kernel/kexec-bzimage64.c.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOfNodeError } from '../../linux/library.ts'
import { ENOENT } from '../../values/errno.ts'
import { KIB } from '../../values/units.ts'
import { type PreflightFinding, refuse, warn } from './finding.ts'

export interface NextKernel {
  /** What `uname -r` will say. */
  readonly release: string
  /** Bytes of the longest command line it takes. */
  readonly commandLineMax: number
  /** Kernel and initrd together. */
  readonly sizeBytes: number
}

const HEAD_BYTES = 64 * KIB
/** Boot protocol 2.12, the first with `xloadflags`. */
const OLDEST_PROTOCOL = 0x020c
/** XLF_KERNEL_64 and XLF_CAN_BE_LOADED_ABOVE_4G. */
const XLOADFLAGS = 3

/** What a kernel takes for an initramfs: cpio, or one of what it can unpack (lib/decompress.c). */
const INITRD_MAGIC = [
  '070701',
  '070702',
  '1f8b',
  '1f9e',
  'fd377a585a',
  '28b52ffd',
  '02214c18',
  '425a68',
  '5d0000',
  '894c5a',
]

/** `next` is undefined exactly when a finding refuses the kernel itself. `modules`: where they lie, folder by release. */
export function examineNextKernel(
  kernelPath: string,
  initrdPath: string | undefined,
  modules = '/lib/modules',
): { next: NextKernel | undefined; findings: PreflightFinding[] } {
  const findings: PreflightFinding[] = []
  const kernel = readHead(kernelPath, 'kernel', findings)
  const initrd = initrdPath === undefined ? undefined : readHead(initrdPath, 'initrd', findings)
  if (initrd !== undefined && !isInitrd(initrd.head))
    findings.push(
      refuse(`initrd ${initrdPath} is no cpio archive, and not compressed in a way a kernel knows`),
    )
  if (kernel === undefined) return { next: undefined, findings }

  const problem = imageProblem(kernel.head)
  if (problem !== undefined) {
    findings.push(refuse(`kernel ${kernelPath} ${problem}`))
    return { next: undefined, findings }
  }
  const release = readRelease(kernel.head)
  if (!existsSync(join(modules, release)))
    findings.push(
      warn(
        `${join(modules, release)} is missing: unless its initrd has them, kernel ${release} has no modules`,
      ),
    )
  const next = {
    release,
    commandLineMax: kernel.head.readUInt32LE(0x238),
    sizeBytes: kernel.sizeBytes + (initrd?.sizeBytes ?? 0),
  }
  return { next, findings }
}

interface Head {
  /** HEAD_BYTES, zeros behind the file's end. */
  readonly head: Buffer
  readonly sizeBytes: number
}

function readHead(path: string, what: string, findings: PreflightFinding[]): Head | undefined {
  try {
    const fd = openSync(path, 'r')
    try {
      const stat = fstatSync(fd)
      const head = Buffer.alloc(HEAD_BYTES)
      readSync(fd, head, 0, head.length, 0)
      return { head, sizeBytes: stat.size }
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    const errno = errnoOfNodeError(error)
    findings.push(refuse(`${what} ${path} ${errno === ENOENT ? 'is missing' : `cannot be read: ${errno}`}`))
    return undefined
  }
}

function imageProblem(head: Buffer): string | undefined {
  if (head.readUInt16LE(0x1fe) !== 0xaa55 || head.toString('latin1', 0x202, 0x206) !== 'HdrS')
    return 'is not a Linux kernel image (bzImage)'
  const isUsable =
    head.readUInt16LE(0x206) >= OLDEST_PROTOCOL && (head.readUInt16LE(0x236) & XLOADFLAGS) === XLOADFLAGS
  return isUsable ? undefined : 'is no 64-bit kernel that kexec_file_load takes'
}

/** `kernel_version` points at text that begins with the release. */
function readRelease(head: Buffer): string {
  const start = head.readUInt16LE(0x20e) + 0x200
  return head.toString('latin1', start, start + 256).split(/[ \0]/, 1)[0] as string
}

function isInitrd(head: Buffer): boolean {
  const [text, bytes] = [head.toString('latin1', 0, 6), head.toString('hex', 0, 6)]
  return INITRD_MAGIC.some((magic) => text === magic || bytes.startsWith(magic))
}
