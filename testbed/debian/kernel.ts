/**
 * Finds the kernel that the operator names (a version, a Debian suite or a file), and unpacks it into the
 * cache. Debian kernels come as one package up to 6.x and as linux-binary-, linux-modules- and linux-base-
 * from 7.x on.
 */
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { openKernelImage } from '../../src/linux/bzimage.ts'
import { Errno } from '../../src/values/errno.ts'
import { UsageError } from '../../src/values/errors.ts'
import { cached } from '../cache.ts'
import { LUO, luoKernel } from '../kernel/luo.ts'
import { type Apt, type OfferedPackage, SUITES, withFreshLists } from './apt.ts'
import { unpackPackages } from './unpack.ts'

/** The suite of the default kernel. */
export const NEWEST = 'trixie-backports'

/**
 * The kernel for virtual machines: same source and options, far fewer drivers. It follows the newest of its
 * suite.
 */
const METAPACKAGE = 'linux-image-cloud-amd64'
/** Its packages and their unpacked files. */
const ROOM_BYTES = 500 * 2 ** 20
const KERNEL_PACKAGE = /^linux-(image|binary|modules|base)-\d/

export interface Kernel {
  /** As `uname -r` prints it. */
  readonly release: string
  readonly vmlinuz: string
  /** The folder that holds `kernel/…/*.ko*`; undefined when everything is built in. */
  readonly modules: string | undefined
}

/**
 * `spec`: `6.12` or `7.3.4`, a suite such as `trixie-backports`, `luo` (kernel/luo.ts), or the path of a
 * vmlinuz.
 */
export async function findKernel(spec: string): Promise<Kernel> {
  if (spec.includes('/')) return kernelFile(resolve(spec))
  if (spec === LUO) return kernelFile(await luoKernel())
  return withFreshLists((apt) => debianKernel(apt, spec))
}

async function debianKernel(apt: Apt, spec: string): Promise<Kernel> {
  const offer = chooseOffer(await apt.offers(METAPACKAGE), spec)
  const build = async (folder: string): Promise<string> => {
    const names = await apt.dependencies(offer)
    const image = names.find((name) => /^linux-image-\d/.test(name))
    if (image === undefined) throw new Error(`${METAPACKAGE} ${offer.version} depends on no kernel image`)
    const version = { version: offer.version }
    const parts = (await apt.dependencies({ name: image, ...version })).filter((name) =>
      KERNEL_PACKAGE.test(name),
    )
    await unpackPackages(
      apt,
      [image, ...parts].map((name) => ({ name, ...version })),
      folder,
    )
    return folder
  }
  const room = { needsBytes: ROOM_BYTES, what: `kernel ${offer.version}` }
  return unpackedKernel(await cached(`kernels/${METAPACKAGE}_${offer.version}`, build, room))
}

/**
 * The newest offer that `spec` names. `offers` come newest first. Throws `UsageError` naming what there is.
 */
export function chooseOffer(offers: readonly OfferedPackage[], spec: string): OfferedPackage {
  const isSuite = (SUITES as readonly string[]).includes(spec)
  const found = offers.find(({ suite, version }) =>
    isSuite
      ? suite === spec
      : version === spec || version.startsWith(`${spec}.`) || version.startsWith(`${spec}-`),
  )
  if (found !== undefined) return found
  const known = offers.map(({ suite, version }) => `${version} (${suite})`).join(', ')
  throw new UsageError(
    `no Debian kernel ${spec}: name a vmlinuz by its path, luo, a suite, or one of ${known}`,
  )
}

function unpackedKernel(tree: string): Kernel {
  const modulesParent = [join(tree, 'usr/lib/modules'), join(tree, 'lib/modules')].find((path) =>
    existsSync(path),
  )
  const release = modulesParent && readdirSync(modulesParent)[0]
  if (modulesParent === undefined || release === undefined) throw new Error(`${tree} holds no kernel modules`)
  const modules = join(modulesParent, release)
  const vmlinuz = [join(tree, 'boot', `vmlinuz-${release}`), join(modules, 'vmlinuz')].find((path) =>
    existsSync(path),
  )
  if (vmlinuz === undefined) throw new Error(`${tree} holds no vmlinuz`)
  return { release, vmlinuz, modules }
}

function kernelFile(vmlinuz: string): Kernel {
  if (!existsSync(vmlinuz)) throw new UsageError(`${vmlinuz}: no such kernel`)
  const image = openKernelImage(vmlinuz)
  if (image instanceof Errno) throw new UsageError(`${vmlinuz}: not a Linux bzImage (${image.name})`)
  const { release } = image
  image.close()
  // Beside it, as Debian has them from 7.x on, or where this machine's own kernels have theirs.
  const places = [dirname(vmlinuz), join('/lib/modules', release)]
  return { release, vmlinuz, modules: places.find((place) => existsSync(join(place, 'modules.order'))) }
}
