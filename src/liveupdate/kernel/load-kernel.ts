/** The load of the next kernel, through the descriptors that its preflight read. */
import { loadKernel } from '../../linux/kexec.ts'
import {
  EADDRNOTAVAIL,
  EBADMSG,
  EKEYREJECTED,
  ENODATA,
  ENOEXEC,
  EPERM,
  type Errno,
} from '../../values/errno.ts'
import { UsageError } from '../../values/errors.ts'
import type { NextKernel } from '../preflight/check-next-kernel.ts'

/** What the errors of kexec_file_load(2) mean. */
const WHY: ReadonlyMap<Errno, string> = new Map([
  [EPERM, 'it is locked down, or kexec is switched off'],
  [ENODATA, 'it requires a signature, and there is none'],
  [EKEYREJECTED, 'it rejects the key of the signature'],
  [EBADMSG, 'the signature does not match the image'],
  [ENOEXEC, 'it does not load images of this format'],
  [EADDRNOTAVAIL, 'there is no room for it'],
])

/** Errors (UsageError): the running kernel refuses it. `load`: the system call, which tests replace. */
export function loadNextKernel({ image, initrd }: NextKernel, commandLine: string, load = loadKernel): void {
  const failed = load(image.fd, initrd?.fd, commandLine)
  if (failed === undefined) return
  throw new UsageError(`this kernel does not load ${image.path}: ${WHY.get(failed) ?? failed}`)
}
