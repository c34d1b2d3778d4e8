/**
 * The installation of build tools for a kernel on this machine: asks first, and installs only what is
 * missing.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type AptHost, hasApt, installPackages, updateLists } from '../../src/host/apt.ts'
import { askConsent, type Consent } from '../../src/host/consent.ts'
import { UsageError } from '../../src/values/errors.ts'

/** A program on PATH, or a header, and the Debian package that brings it. */
export const TOOLS: Readonly<Record<string, string>> = {
  make: 'make',
  gcc: 'gcc',
  ld: 'binutils',
  flex: 'flex',
  bison: 'bison',
  bc: 'bc',
  xz: 'xz-utils',
  '/usr/include/stdio.h': 'libc6-dev',
  '/usr/include/libelf.h': 'libelf-dev', // objtool's
}

/** Packages of the missing tools; `isThere` gets a path. */
export function missingPackages(searchPath: string, isThere: (path: string) => boolean): string[] {
  const folders = searchPath.split(':').filter((folder) => folder !== '')
  const found = (tool: string): boolean =>
    tool.startsWith('/') ? isThere(tool) : folders.some((folder) => isThere(join(folder, tool)))
  return Object.entries(TOOLS).flatMap(([tool, name]) => (found(tool) ? [] : [name]))
}

/**
 * Makes sure a kernel can be compiled here. Errors: `UsageError` that says what to install, where the
 * operator declined or this user cannot.
 */
export async function ensureBuildTools(
  host: AptHost,
  consent: Consent,
  say: (line: string) => void,
): Promise<void> {
  const missing = missingPackages(process.env.PATH ?? '', existsSync)
  if (missing.length === 0) return
  const names = missing.join(' ')
  const found = `the testbed's kernel needs ${names} to be built`
  if (!hasApt()) throw new UsageError(`${found}: install them`)
  if (process.getuid?.() !== 0) throw new UsageError(`${found}: sudo apt-get install ${names}`)
  if (!(await askConsent(`${found}. Install with apt?`, consent)))
    throw new UsageError(`${found}: install them`)
  say(`installing ${names}`)
  updateLists(host)
  try {
    installPackages(host, missing)
  } catch (error) {
    const exact = missing.map((name) => `${name}${versionOf(LIBRARIES[name] ?? [])}`)
    if (exact.every((name) => !name.includes('='))) throw error
    installPackages(host, exact)
  }
}

/**
 * A header package is for one version of its library. Where that came from another suite (QEMU of backports
 * brings a newer libelf), apt takes the headers of this suite and finds that they do not fit.
 */
const LIBRARIES: Readonly<Record<string, readonly string[]>> = {
  'libc6-dev': ['libc6'],
  'libelf-dev': ['libelf1t64', 'libelf1'],
}

/** `=VERSION` of the first of these packages that is installed; empty where none is. */
function versionOf(libraries: readonly string[]): string {
  for (const library of libraries) {
    const { stdout } = spawnSync('dpkg-query', ['--status', library], { encoding: 'utf8' })
    const version = /^Version: (\S+)$/m.exec(stdout ?? '')?.[1]
    if (version !== undefined && /^Status: install ok installed$/m.test(stdout)) return `=${version}`
  }
  return ''
}
