/**
 * The choice of kernel modules the host gets: the wanted ones and what they depend on, decompressed, with the
 * `modules.dep` and `modules.alias` that busybox's modprobe reads. Debian runs depmod when a kernel is
 * installed; the testbed's kernels never are.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { command } from '../command.ts'
import type { Kernel } from '../debian/kernel.ts'

/** Those that a kernel does not have, or has built in, are left out. */
export const HOST_MODULES = [
  'virtio_blk',
  'kvm',
  'kvm_amd',
  'kvm_intel',
  'dax_hmem',
  'device_dax',
  'kmem',
  'overlay',
  'hwpoison_inject',
  'tun',
  'bridge',
  'virtio_net',
  'vfio_pci',
  'vfio_iommu_type1',
] as const

export interface Module {
  readonly name: string
  /** Under `/lib/modules/RELEASE`, without a compression suffix. */
  readonly path: string
  readonly bytes: Buffer
  /** Names of the modules it needs directly. */
  readonly depends: readonly string[]
  /** Other names under which the kernel requests it: `fs-overlay`, `devname:net/tun`. */
  readonly aliases: readonly string[]
}

/**
 * The modules named and all they need, each after what it needs. `xzcat` is the program and arguments that
 * unpack one.
 */
export async function collectModules(
  kernel: Kernel,
  names: readonly string[],
  xzcat: readonly [string, ...string[]],
): Promise<Module[]> {
  if (kernel.modules === undefined) return []
  const folder = kernel.modules
  const paths = new Map(
    readFileSync(join(folder, 'modules.order'), 'utf8')
      .trim()
      .split('\n')
      .map((path) => [moduleName(path), path]),
  )
  const collected = new Map<string, Module>()
  const visit = async (name: string): Promise<void> => {
    const path = paths.get(name)
    if (path === undefined || collected.has(name)) return
    const bytes = await readModule(join(folder, path), xzcat)
    const depends = readDepends(bytes)
    for (const needed of depends) await visit(needed)
    collected.set(name, { name, path, bytes, depends, aliases: readModinfo(bytes, 'alias') })
  }
  for (const name of names) await visit(name)
  return [...collected.values()]
}

/** As modprobe reads it: `PATH: PATHS…`, all dependencies, nearest first (modules.dep(5)). */
export function writeModulesDep(modules: readonly Module[]): string {
  const byName = new Map(modules.map((module) => [module.name, module]))
  const needs = (module: Module): Module[] =>
    module.depends.flatMap((name) => {
      const needed = byName.get(name)
      return needed === undefined ? [] : [needed, ...needs(needed)]
    })
  return modules
    .map((module) =>
      `${module.path}: ${[...new Set(needs(module).map(({ path }) => path))].join(' ')}`.trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

/** How the kernel's own requests find a module: `alias PATTERN NAME` (modules.alias, as depmod writes it). */
export function writeModulesAlias(modules: readonly Module[]): string {
  return modules.flatMap(({ name, aliases }) => aliases.map((alias) => `alias ${alias} ${name}\n`)).join('')
}

/** The kernel treats `-` and `_` in a module's name as the same. */
const moduleName = (path: string): string => (/([^/]+)\.ko$/.exec(path)?.[1] ?? path).replaceAll('-', '_')

/** What a module needs directly. */
export function readDepends(module: Buffer): string[] {
  const names = (readModinfo(module, 'depends')[0] ?? '').split(',')
  return names.filter((name) => name !== '').map((name) => name.replaceAll('-', '_'))
}

/**
 * The `.modinfo` section is a run of NUL-ended `key=value` strings (include/linux/moduleparam.h): all values
 * of `key`.
 */
export function readModinfo(module: Buffer, key: string): string[] {
  const values: string[] = []
  const start = `\0${key}=`
  for (let at = module.indexOf(start, 0, 'latin1'); at >= 0; at = module.indexOf(start, at + 1, 'latin1'))
    values.push(module.toString('latin1', at + start.length, module.indexOf(0, at + 1)))
  return values
}

async function readModule(file: string, xzcat: readonly [string, ...string[]]): Promise<Buffer> {
  try {
    return readFileSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const [program, ...args] = xzcat
  return Buffer.from(await command(program, [...args, `${file}.xz`], { encoding: 'latin1' }), 'latin1')
}
