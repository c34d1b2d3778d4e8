/**
 * The formats in which a kernel hands memory over, by their names in its image. A kernel without the other's
 * KHO format drops all memory without an error, one without its LUO format panics, and one without its memfd
 * format answers EIO until the next boot (kho_populate, luo_early_startup, luo_open): so the preflight
 * compares them before a guest is stopped. Source: include/linux/kho/abi/*.h.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { type KernelImage, openKernelImage } from '../../linux/bzimage.ts'
import { errnoOfNodeError } from '../../linux/library.ts'
import { Errno } from '../../values/errno.ts'
import { MIB } from '../../values/units.ts'

/** Names such as `kho-v4`, `luo-v5`, `memfd-v2`; undefined: the kernel has none. */
export interface HandoverAbi {
  readonly kho: string | undefined
  readonly luo: string | undefined
  readonly memfd: string | undefined
}

/** No kernel is larger when it is unpacked. */
const MAX_KERNEL_BYTES = 512 * MIB
const UNPACK_TIMEOUT_MS = 60_000
/**
 * A compressed payload ends in its unpacked size, four bytes (scripts/Makefile.lib, size_append), which not
 * every unpacker ignores.
 */
const SIZE_BYTES = 4

type Unpack = (payload: Buffer) => Buffer | undefined
const unpackBy =
  (program: string, ...words: string[]): Unpack =>
  (input) => {
    const options = { input, maxBuffer: MAX_KERNEL_BYTES, timeout: UNPACK_TIMEOUT_MS }
    const { stdout } = spawnSync(program, words, options)
    // Some programs report bytes after the stream as garbage, even by an exit status.
    return stdout?.length > 0 ? stdout : undefined
  }

/** By the first bytes of the payload. */
const UNPACKERS: readonly (readonly [magic: string, unpack: Unpack])[] = [
  [
    '1f8b',
    (bytes) => gunzipSync(bytes, { maxOutputLength: MAX_KERNEL_BYTES, finishFlush: constants.Z_SYNC_FLUSH }),
  ],
  ['28b52ffd', (bytes) => zstdDecompressSync(bytes, { maxOutputLength: MAX_KERNEL_BYTES })],
  ['fd377a585a00', unpackBy('xz', '-dc', '--single-stream')],
  ['5d0000', unpackBy('xz', '-dc', '--format=lzma')],
  ['425a68', unpackBy('bzip2', '-dc')],
  ['02214c18', unpackBy('lz4', '-dc')],
  ['894c5a4f', unpackBy('lzop', '-dc')],
]

/**
 * The formats of a kernel; undefined: its image cannot be read or unpacked here. Takes about a second, to
 * unpack all of it.
 */
export function handoverAbi(image: KernelImage): HandoverAbi | undefined {
  const bytes = image.payload()
  if (bytes instanceof Errno) return undefined
  const payload = bytes.subarray(0, -SIZE_BYTES)
  const magic = payload.toString('hex', 0, 8)
  const unpack = UNPACKERS.find(([first]) => magic.startsWith(first))?.[1]
  try {
    const kernel = unpack?.(payload)
    return kernel && abiIn(kernel)
  } catch {
    return undefined
  }
}

/**
 * The kernel compares the names as strings, so each ends with a NUL in its data; any byte may come before it.
 */
export function abiIn(bytes: Buffer): HandoverAbi {
  const name = (prefix: string): string | undefined => {
    for (let at = bytes.indexOf(`${prefix}-v`); at >= 0; at = bytes.indexOf(`${prefix}-v`, at + 1)) {
      const [found] = /^[a-z]+-v\d+(?=\0)/.exec(bytes.toString('latin1', at, at + 32)) ?? []
      if (found !== undefined) return found
    }
    return undefined
  }
  return { kho: name('kho'), luo: name('luo'), memfd: name('memfd') }
}

/** The tree that the running kernel will hand over, where debugfs is mounted (kexec_handover_debugfs.c). */
const DEBUGFS = '/sys/kernel/debug/kho/out'

/**
 * The formats of the running kernel: from debugfs where it has them, else from its image; undefined: there is
 * no image of it. `version`: /proc/version, which differs from that of an image of another build. `next`: may
 * be an image of the same build.
 */
export function runningAbi(release: string, version: string, next: KernelImage): HandoverAbi | undefined {
  const ofImage = abiOfBuild(version, next, [
    `/boot/vmlinuz-${release}`,
    `/usr/lib/modules/${release}/vmlinuz`,
    '/boot/vmlinuz',
  ])
  const kho = shown(`${DEBUGFS}/fdt`)?.kho ?? ofImage?.kho
  const luo = shown(`${DEBUGFS}/sub_fdts/LUO`)?.luo ?? ofImage?.luo
  return ofImage && { kho, luo, memfd: ofImage.memfd }
}

/** The formats of the first image of the build that `version` names. */
function abiOfBuild(version: string, next: KernelImage, paths: readonly string[]): HandoverAbi | undefined {
  for (const path of paths) {
    const image = openKernelImage(path)
    if (image instanceof Errno) continue
    try {
      if (isSameBuild(image.banner, version)) return handoverAbi(image)
    } finally {
      image.close()
    }
  }
  return isSameBuild(next.banner, version) ? handoverAbi(next) : undefined
}

function shown(path: string): HandoverAbi | undefined {
  try {
    return abiIn(readFileSync(path))
  } catch (error) {
    errnoOfNodeError(error)
    return undefined
  }
}

/**
 * An image has `RELEASE (BUILDER) #N …`, and /proc/version `Linux version RELEASE (BUILDER) (COMPILER) #N …`.
 */
function isSameBuild(banner: string, version: string): boolean {
  const [, release, build] = /^(\S+) .*?(#\d+ .*?)\s*$/s.exec(banner) ?? []
  return (
    release !== undefined &&
    build !== undefined &&
    version.startsWith(`Linux version ${release} `) &&
    version.trimEnd().endsWith(build)
  )
}
