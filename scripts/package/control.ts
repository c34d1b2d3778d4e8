/**
 * The control file of the Debian package, and its checksums (deb-control(5), deb-md5sums(5)). Pure.
 *
 * A kernel cannot be depended on: one that is installed need not be the one that runs. The package's script
 * says so at the end of the installation, and each mount refuses.
 */
import { createHash } from 'node:crypto'

/**
 * What Debian has in place of each library that Node and koffi load, in the versions whose symbols they name.
 */
const LIBRARIES: Readonly<Record<string, string>> = {
  'libc.so.6': 'libc6 (>= 2.28)',
  'libdl.so.2': 'libc6 (>= 2.28)',
  'libm.so.6': 'libc6 (>= 2.28)',
  'libpthread.so.0': 'libc6 (>= 2.28)',
  'ld-linux-x86-64.so.2': 'libc6 (>= 2.28)',
  'libgcc_s.so.1': 'libgcc-s1 (>= 3.4)',
  'libstdc++.so.6': 'libstdc++6 (>= 7)',
}

/** mount(8) of /sbin/mount.guestmemfs; it is not essential. */
const MOUNT = 'mount'
/** The oldest that guests outlive; Debian 12 has an older one, and a newer one in its backports. */
const QEMU = 'qemu-system-x86 (>= 1:8.2)'

/**
 * `libraries`: names that programs of the package have in their dynamic sections. Throws for an unknown one.
 */
export function dependencies(libraries: readonly string[]): string[] {
  const packages = libraries.map((name) => {
    const found = LIBRARIES[name]
    if (found === undefined) throw new Error(`${name}: no package of Debian is known for it`)
    return found
  })
  return [...new Set([...packages, MOUNT])].sort()
}

export interface ControlFacts {
  /** Debian's: that of the program, and a revision. */
  readonly version: string
  /** `NAME <ADDRESS>`. */
  readonly maintainer: string
  readonly depends: readonly string[]
  readonly installedKib: number
}

export const controlText = ({ version, maintainer, depends, installedKib }: ControlFacts): string =>
  `Package: guestmemfs
Version: ${version}
Architecture: amd64
Maintainer: ${maintainer}
Installed-Size: ${installedKib}
Depends: ${depends.join(', ')}
Recommends: ${QEMU}
Suggests: bash-completion
Section: admin
Priority: optional
Description: file system that holds guest RAM across updates of QEMU and kernel
 The RAM of virtual machines is in files of a mount, so that QEMU, the file
 system's own server and the host's kernel can be replaced while that memory
 stays where it is: guests are stopped for a moment, and go on at the
 instruction where they stopped. No byte of their RAM is copied.
 .
 It needs Linux 6.9 or newer with CONFIG_FUSE_PASSTHROUGH, and QEMU 8.2 or
 newer. It brings a Node.js of its own, as Debian's is older than it needs.
`

/** `files`: path below the root, without a slash in front, and contents. */
export const checksumsText = (files: readonly (readonly [path: string, bytes: Uint8Array])[]): string =>
  files.map(([path, bytes]) => `${createHash('md5').update(bytes).digest('hex')}  ${path}\n`).join('')

const KIB = 1024

/** As dpkg-gencontrol counts: whole KiB of each file, and one for each folder and link. */
export const installedKib = (fileBytes: readonly number[], others: number): number =>
  fileBytes.reduce((sum, bytes) => sum + Math.ceil(bytes / KIB), others)
