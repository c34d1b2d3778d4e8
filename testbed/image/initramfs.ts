/**
 * The initramfs of one kernel: busybox, a script, and the modules the host may need. Small and uncompressed:
 * it boots faster.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { cached, contentKey } from '../cache.ts'
import type { Kernel } from '../debian/kernel.ts'
import { findBusybox } from './busybox.ts'
import { type CpioEntry, writeCpio } from './cpio.ts'
import { collectModules, HOST_MODULES, type Module, writeModulesAlias, writeModulesDep } from './modules.ts'

/** The sources that determine the archive's bytes, beside the kernel. */
const SOURCES = [import.meta.filename, join(import.meta.dirname, 'modules.ts')]

/** The path of `kernel`'s initramfs in the cache. */
export async function buildInitramfs(kernel: Kernel): Promise<string> {
  const busybox = await findBusybox()
  const script = readFileSync(join(import.meta.dirname, 'initramfs.sh'))
  const sources = SOURCES.map((file) => readFileSync(file))
  const key = contentKey(busybox, script, kernel.vmlinuz, ...sources)
  return cached(`initramfs/${kernel.release}-${key}`, async (folder) => {
    const modules = await collectModules(kernel, HOST_MODULES, [busybox, 'xzcat'])
    const file = join(folder, 'initramfs')
    writeFileSync(file, writeCpio(entries(kernel.release, readFileSync(busybox), script, modules)))
    return file
  })
}

function entries(release: string, busybox: Buffer, script: Buffer, modules: readonly Module[]): CpioEntry[] {
  const home = `lib/modules/${release}`
  const files: CpioEntry[] = [
    { path: 'init', type: 'file', mode: 0o755, bytes: script },
    { path: 'bin/busybox', type: 'file', mode: 0o755, bytes: busybox },
    { path: `${home}/modules.dep`, type: 'file', bytes: Buffer.from(writeModulesDep(modules)) },
    { path: `${home}/modules.alias`, type: 'file', bytes: Buffer.from(writeModulesAlias(modules)) },
    ...modules.map(({ path, bytes }): CpioEntry => ({ path: `${home}/${path}`, type: 'file', bytes })),
  ]
  const folders = new Set<string>()
  const addFolder = (path: string): void => {
    if (path === '.' || folders.has(path)) return
    addFolder(dirname(path))
    folders.add(path)
  }
  for (const { path } of files) addFolder(dirname(path))
  addFolder('dev')
  return [
    ...[...folders].map((path): CpioEntry => ({ path, type: 'folder' })),
    // The kernel opens it for init's first messages, before anything is mounted.
    { path: 'dev/console', type: 'character device', major: 5, minor: 1 },
    ...files,
  ]
}
