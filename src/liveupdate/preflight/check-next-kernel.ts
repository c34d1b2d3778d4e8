/**
 * The opened files of the next kernel: whether they are a kernel and an initramfs, and what the image's
 * header says. They stay open until they are loaded, so that exactly the checked files are loaded.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type KernelImage, openKernelImage } from '../../linux/bzimage.ts'
import { type OpenedFile, openFile } from '../../linux/opened-file.ts'
import { ENOENT, ENOEXEC, Errno } from '../../values/errno.ts'
import { type Finding, fail, hasError, warn } from '../../values/finding.ts'

export interface NextKernel {
  readonly image: KernelImage
  readonly initrd: OpenedFile | undefined
  readonly close: () => void
}

/** The first bytes of an initramfs: cpio, or a format that the kernel can unpack (lib/decompress.c). */
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
const MAGIC_BYTES = 6

/**
 * `next` is undefined exactly when a finding refuses the kernel itself: then nothing stays open. Its `initrd`
 * is undefined where none is given, or a finding says that it cannot be opened. `modules`: the folder with a
 * folder of modules for each release.
 */
export function openNextKernel(
  kernelPath: string,
  initrdPath: string | undefined,
  modules = '/lib/modules',
): { next: NextKernel | undefined; findings: Finding[] } {
  const image = openKernelImage(kernelPath)
  const initrd = initrdPath === undefined ? undefined : openFile(initrdPath)
  const ofImage = checkImage(kernelPath, image, modules)
  const findings = [...ofImage, ...checkInitrd(initrdPath, initrd)]
  const opened = [image, initrd].filter(
    (file): file is OpenedFile => file !== undefined && !(file instanceof Errno),
  )
  const close = () => {
    for (const file of opened) file.close()
  }
  if (image instanceof Errno || hasError(ofImage)) {
    close()
    return { next: undefined, findings }
  }
  return { next: { image, initrd: initrd instanceof Errno ? undefined : initrd, close }, findings }
}

function checkImage(path: string, image: KernelImage | Errno, modules: string): Finding[] {
  const refuse = (problem: string) => [fail('kernel', `kernel ${path} ${problem}`)]
  if (image === ENOEXEC) return refuse('is not a Linux kernel image (bzImage)')
  if (image instanceof Errno) return refuse(readProblem(image))
  if (!image.isLoadable) return refuse('is no 64-bit kernel that kexec_file_load takes')
  const { release, sizeBytes, expectedBytes } = image
  if (sizeBytes < expectedBytes)
    return refuse(`is cut short: it has ${sizeBytes} bytes, and its header says ${expectedBytes}`)
  const folder = join(modules, release)
  if (existsSync(folder)) return []
  return [
    warn('kernel', `${folder} is missing: unless its initrd has them, kernel ${release} has no modules`),
  ]
}

function checkInitrd(path: string | undefined, initrd: OpenedFile | Errno | undefined): Finding[] {
  if (initrd === undefined) return []
  const magic = initrd instanceof Errno ? initrd : initrd.read(0, MAGIC_BYTES)
  if (magic instanceof Errno) return [fail('initrd', `initrd ${path} ${readProblem(magic)}`)]
  if (isInitrd(magic)) return []
  return [
    fail('initrd', `initrd ${path} is no cpio archive, and not compressed in a way that a kernel unpacks`),
  ]
}

function readProblem(errno: Errno): string {
  return errno === ENOENT ? 'is missing' : `cannot be read: ${errno}`
}

function isInitrd(head: Buffer): boolean {
  const [text, bytes] = [head.toString('latin1'), head.toString('hex')]
  return INITRD_MAGIC.some((magic) => text === magic || bytes.startsWith(magic))
}
