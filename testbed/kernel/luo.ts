/**
 * The testbed's own kernel, which the spec `luo` names: with KHO and the Live Update Orchestrator, from the
 * newest Linux source that Debian offers, built where it is not in the cache. One build at a time on this
 * machine.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { transformSync } from 'esbuild'
import { THIS_HOST } from '../../src/host/apt.ts'
import { close } from '../../src/linux/descriptors.ts'
import { lockFile } from '../../src/linux/lock-file.ts'
import { Errno } from '../../src/values/errno.ts'
import type { Fd } from '../../src/values/ids.ts'
import { cached, cacheFolder, cacheRoot, contentKey } from '../cache.ts'
import { Apt, type Package, withFreshLists } from '../debian/apt.ts'
import { ensureRoom } from '../space.ts'
import { buildKernel, type Phase } from './build.ts'
import { ensureBuildTools } from './tools.ts'

export const LUO = 'luo'

/** Follows the newest source of each suite, which its dependency names. */
const METAPACKAGE = 'linux-source'
const OPTIONS = join(import.meta.dirname, 'luo.config')
/** The source, and all that is compiled of it. */
const BUILD_BYTES = 3 * 2 ** 30
const LOCK_PAUSE_MS = 1000
const silently: Phase = (_, work) => work()

/**
 * The path of its vmlinuz. Where it must be built first, which takes about ten minutes, `phase` shows the
 * progress.
 */
export async function luoKernel(phase: Phase = silently): Promise<string> {
  return withFreshLists((apt) => buildOrFind(apt, phase))
}

/** The path that exists when `luoKernel` need not build. */
export async function luoKernelPlace(): Promise<string> {
  return join(cacheRoot, placeOf(await newestSource(await Apt.open())))
}

/** The key of what determines the kernel: a comment in the builder must not cause a build of ten minutes. */
function placeOf({ version }: Package): string {
  const builder = readFileSync(join(import.meta.dirname, 'build.ts'), 'utf8')
  const { code } = transformSync(builder, { loader: 'ts', minifyWhitespace: true })
  return `kernels/${LUO}-${version}-${contentKey(readFileSync(OPTIONS), code)}`
}

async function buildOrFind(apt: Apt, phase: Phase): Promise<string> {
  const source = await newestSource(apt)
  const name = placeOf(source)
  const build = (folder: string) => buildKernel(apt, source, readFileSync(OPTIONS, 'utf8'), folder, phase)
  if (!existsSync(join(cacheRoot, name))) {
    ensureRoom(cacheRoot, BUILD_BYTES, 'building a kernel')
    await ensureBuildTools(THIS_HOST, { yes: false }, (line) => process.stderr.write(`${line}\n`))
  }
  const unlock = await lockBuilds(phase)
  try {
    const place = await cached(name, build, { needsBytes: BUILD_BYTES, what: 'building a kernel' })
    return join(place, 'vmlinuz')
  } finally {
    unlock()
  }
}

/** apt names the newest of all suites first. */
async function newestSource(apt: Apt): Promise<Package> {
  const offer = (await apt.offers(METAPACKAGE))[0]
  if (offer === undefined) throw new Error(`Debian offers no ${METAPACKAGE}`)
  const name = (await apt.dependencies(offer)).find((each) => each.startsWith(`${METAPACKAGE}-`))
  if (name === undefined) throw new Error(`${METAPACKAGE} ${offer.version} depends on no source`)
  return { name, version: offer.version }
}

/** Waits for a build that is under way: two at once would take twice as long, and make the same kernel. */
async function lockBuilds(phase: Phase): Promise<() => void> {
  const file = join(cacheFolder('kernels'), '..', 'kernel-build.lock')
  const take = (): Fd | undefined => {
    const lock = lockFile(file)
    if (!(lock instanceof Errno)) return lock
    if (lock.name !== 'EAGAIN') throw new Error(`${file}: ${lock}`)
    return undefined
  }
  const wait = async (): Promise<Fd> => {
    for (;;) {
      const lock = take()
      if (lock !== undefined) return lock
      await setTimeout(LOCK_PAUSE_MS)
    }
  }
  const lock = take() ?? (await phase('another build of this kernel', wait))
  return () => close(lock)
}
