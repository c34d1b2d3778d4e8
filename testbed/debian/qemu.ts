/**
 * The QEMU that runs the host: the newest that Debian offers. Where this machine's own is older, the packages
 * are unpacked into the cache and run by their own loader, so nothing is installed and the machine's C
 * library does not matter.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { installedQemu, QEMU_BINARY } from '../../src/host/qemu-package.ts'
import { atLeast, formatVersion, parseVersion } from '../../src/host/version.ts'
import { UsageError } from '../../src/values/errors.ts'
import { cached } from '../cache.ts'
import { type Apt, type OfferedPackage, type Package, withFreshLists } from './apt.ts'
import { unpackPackages } from './unpack.ts'

const PACKAGE = 'qemu-system-x86'
/** These must have the same version (by qemu-system-x86's dependencies). */
const FAMILY = [PACKAGE, 'qemu-system-common', 'qemu-system-data', 'seabios']
/** Packages and their unpacked files. */
const ROOM_BYTES = 400 * 2 ** 20
const LIBRARIES = 'usr/lib/x86_64-linux-gnu'

/** How a QEMU is started on this machine. */
export interface QemuProgram {
  readonly program: string
  /** Before all others. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** `11.1` */
  readonly version: string
}

/** The packages of one QEMU and all it needs. `spec`: `10.0`, `11.1`, or `newest`. */
export async function qemuPackages(
  apt: Apt,
  spec: string,
): Promise<{ offer: OfferedPackage; family: Package[]; packages: Package[] }> {
  const offer = chooseQemu(await apt.offers(PACKAGE), spec)
  const packages = await apt.closure(FAMILY.map((name) => `${name}/${offer.suite}`))
  return { offer, packages, family: packages.filter(({ name }) => FAMILY.includes(name)) }
}

/** Only suites of one Debian release go together in one tree. Throws `UsageError` naming what there is. */
export function chooseQemu(offers: readonly OfferedPackage[], spec: string): OfferedPackage {
  const usable = offers.filter(({ suite }) => suite.startsWith('trixie'))
  const found = spec === 'newest' ? usable[0] : usable.find(({ version }) => versionOf(version) === spec)
  if (found !== undefined) return found
  const known = usable.map(({ version, suite }) => `${versionOf(version)} (${suite})`).join(', ')
  throw new UsageError(`no QEMU ${spec} in Debian: there are ${known}`)
}

function versionOf(debian: string): string | undefined {
  const version = parseVersion(debian)
  return version && formatVersion(version)
}

/** This machine's own where none is newer, else one in the cache, downloaded where it is missing. */
export function newestQemu(): Promise<QemuProgram> {
  return withFreshLists(async (apt) => {
    const { offer, packages } = await qemuPackages(apt, 'newest')
    const own = installedQemu()
    const offered = parseVersion(offer.version)
    if (own !== undefined && offered !== undefined && atLeast(own, offered))
      return { program: QEMU_BINARY, args: [], env: {}, version: formatVersion(own) }
    const what = { needsBytes: ROOM_BYTES, what: `QEMU ${versionOf(offer.version)}` }
    const tree = await cached(
      // The loader treats a colon as the end of a path.
      `qemu/${PACKAGE}_${offer.version.replaceAll(':', '%3a')}`,
      async (folder) => {
        await unpackPackages(apt, packages, folder)
        return folder
      },
      what,
    )
    return programIn(tree, versionOf(offer.version) ?? offer.version)
  })
}

/**
 * With options for the loader, which name its libraries, and for QEMU, which name its modules and firmware.
 */
function programIn(tree: string, version: string): QemuProgram {
  const libraries = join(tree, LIBRARIES)
  const loader = join(libraries, 'ld-linux-x86-64.so.2')
  if (!existsSync(loader)) throw new Error(`${tree} holds no loader`)
  const firmware = ['usr/share/qemu', 'usr/share/seabios', 'usr/lib/ipxe/qemu']
  return {
    program: loader,
    args: [
      ...['--library-path', libraries, join(tree, 'usr/bin', QEMU_BINARY)],
      ...firmware.flatMap((folder) => ['-L', join(tree, folder)]),
    ],
    env: { QEMU_MODULE_DIR: join(libraries, 'qemu') },
    version,
  }
}
