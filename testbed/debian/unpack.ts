/** Turns downloaded `.deb` files into a tree of files. No maintainer script is ever run. */
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from '../cache.ts'
import { command } from '../command.ts'
import type { Apt, Package } from './apt.ts'

/** Unpacks all of `packages` over each other into `tree`. The `.deb` files stay in the cache. */
export async function unpackPackages(apt: Apt, packages: readonly Package[], tree: string): Promise<void> {
  const folder = cacheFolder('debs')
  await apt.download(packages, folder)
  const names = readdirSync(folder)
  mkdirSync(tree, { recursive: true })
  for (const wanted of packages) {
    const file = names.find((name) => isFileOf(name, wanted))
    if (file === undefined) throw new Error(`${wanted.name} ${wanted.version}: apt left no file`)
    await command('dpkg-deb', ['--extract', join(folder, file), tree])
  }
}

/** apt names files NAME_VERSION_ARCHITECTURE.deb, with the colon of an epoch escaped. */
export function isFileOf(file: string, wanted: Package): boolean {
  return file.startsWith(`${wanted.name}_${wanted.version.replaceAll(':', '%3a')}_`) && file.endsWith('.deb')
}
