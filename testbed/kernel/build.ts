/**
 * Makes a kernel of Debian's source and a short list of options (luo.config): unpack, configure, check that
 * the options hold, compile. Must not: install anything.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { command } from '../command.ts'
import type { Apt, Package } from '../debian/apt.ts'
import { unpackPackages } from '../debian/unpack.ts'
import { make } from './make.ts'

const UNPACK_TIMEOUT_MS = 15 * 60_000

/** Shows a named step to the operator; `detail` returns its progress. */
export type Phase = <T>(name: string, work: () => Promise<T>, detail?: () => string) => Promise<T>

/**
 * Compiles `source` (a package `linux-source-VERSION`) with `options` under `folder`: the folder of `vmlinuz`
 * and `config`.
 */
export async function buildKernel(
  apt: Apt,
  source: Package,
  options: string,
  folder: string,
  phase: Phase,
): Promise<string> {
  const tree = await phase(`source of ${source.name} ${source.version}`, () =>
    unpackSource(apt, source, folder),
  )
  const fragment = join(folder, 'options')
  writeFileSync(fragment, options)
  await make(tree, ['-s', `KCONFIG_ALLCONFIG=${fragment}`, 'allnoconfig'])
  const lost = lostOptions(options, readFileSync(join(tree, '.config'), 'utf8'))
  if (lost.length > 0)
    throw new Error(
      `${source.name} ${source.version} does not take ${lost.join(', ')}: see testbed/kernel/luo.config`,
    )
  let made = 0
  await phase(
    'compile',
    () => make(tree, ['bzImage'], () => made++),
    () => `${made} files`,
  )
  const result = join(folder, 'result')
  mkdirSync(result)
  copyFileSync(join(tree, 'arch/x86/boot/bzImage'), join(result, 'vmlinuz'))
  copyFileSync(join(tree, '.config'), join(result, 'config'))
  return result
}

async function unpackSource(apt: Apt, source: Package, folder: string): Promise<string> {
  const unpacked = join(folder, 'package')
  await unpackPackages(apt, [source], unpacked)
  const tarball = join(unpacked, 'usr/src', `${source.name}.tar.xz`)
  await command('tar', ['-xJf', tarball, '-C', folder], { timeoutMs: UNPACK_TIMEOUT_MS })
  rmSync(unpacked, { recursive: true })
  return join(folder, source.name)
}

/** Options of luo.config that are not in `config`: their name is unknown, or what they depend on is off. */
export function lostOptions(options: string, config: string): string[] {
  const lines = new Set(config.split('\n'))
  const wanted = options.split('\n').filter((line) => line.startsWith('CONFIG_'))
  return wanted.filter((line) => !lines.has(line))
}
