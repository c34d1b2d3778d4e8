/**
 * The formats in which a kernel hands memory over, by the names that stand in its image. A kernel that does
 * not know the other's KHO format forgets everything in silence, one that does not know its LUO format
 * panics, and one without its memfd format answers EIO until the next boot (kho_populate, luo_early_startup,
 * luo_open): so they are compared before any guest is paused. Source: include/linux/kho/abi/*.h.
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
 * every unpacker passes over.
 */
const SIZE_BYTES = 4

type Unpack = (payload: Buffer) => Buffer | undefined
const by =
  (program: string, ...words: string[]): Unpack =>
  (input) => {
    const options = { input, maxBuffer: MAX_KERNEL_BYTES, timeout: UNPACK_TIMEOUT_MS }
    const { stdout } = spawnSync(program, words, options)
    // Whatever follows the stream is said to be garbage, by some with an exit status.
    return stdout?.length > 0 ? stdout : undefined
  }

/** By the first bytes of the payload. */
const UNPACKERS: readonly (readonly [magic: string, unpack: Unpack])[] = [
  [
    '1f8b',
    (bytes) => gunzipSync(bytes, { maxOutputLength: MAX_KERNEL_BYTES, finishFlush: constants.Z_SYNC_FLUSH }),
  ],
  ['28b52ffd', (bytes) => zstdDecompressSync(bytes, { maxOutputLength: MAX_KERNEL_BYTES })],
  ['fd377a585a00', by('xz', '-dc', '--single-stream')],
  ['5d0000', by('xz', '-dc', '--format=lzma')],
  ['425a68', by('bzip2', '-dc')],
  ['02214c18', by('lz4', '-dc')],
  ['894c5a4f', by('lzop', '-dc')],
]

/**
 * What a kernel can do; undefined: its image cannot be read or unpacked here. Unpacks all of it: a second or
 * so.
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
 * The names stand in the kernel's data as they are compared: to their terminating NUL, behind whatever comes
 * before them.
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

/**
 * What the running kernel is about to hand over, as it shows it where debugfs is mounted
 * (kexec_handover_debugfs.c).
 */
const SHOWN = '/sys/kernel/debug/kho/out'

/**
 * What the running kernel can do, as it shows by itself, and for the rest as its own image says; undefined:
 * neither is found. `version`: /proc/version, so that an image of another build is not taken for it. `next`:
 * it may be the same kernel again, and then is its image.
 */
export function runningAbi(release: string, version: string, next: KernelImage): HandoverAbi | undefined {
  const said = abiOfBuild(version, next, [
    `/boot/vmlinuz-${release}`,
    `/usr/lib/modules/${release}/vmlinuz`,
    '/boot/vmlinuz',
  ])
  const kho = shown(`${SHOWN}/fdt`)?.kho ?? said?.kho
  const luo = shown(`${SHOWN}/sub_fdts/LUO`)?.luo ?? said?.luo
  return said && { kho, luo, memfd: said.memfd }
}

/** Of the first image that is of the build that `version` names. */
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
 * An image says `RELEASE (BUILDER) #N …`, and /proc/version
 * `Linux version RELEASE (BUILDER) (COMPILER) #N …`.
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
