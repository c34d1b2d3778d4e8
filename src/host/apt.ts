/**
 * apt: which versions of a package there are, adding one Debian suite, installing packages. Must not: decide
 * what is needed, ask, upgrade anything that was not named, or change a file that it did not write.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { UsageError } from '../values/errors.ts'
import { MIB } from '../values/units.ts'
import {
  type AptSource,
  debianMirror,
  hasSuite,
  parseDeb822Sources,
  parseOneLineSources,
  sourceLine,
} from './apt-sources.ts'

/** Where apt's configuration is, and options for every call: tests point both at a folder of their own. */
export interface AptHost {
  readonly etc: string
  readonly options: readonly string[]
}

export const THIS_HOST: AptHost = { etc: '/etc/apt', options: [] }

/** One version that apt could install, and the suite it would come from. */
export interface AptVersion {
  readonly version: string
  readonly suite: string
}

const ENVIRONMENT = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' }
const COMMON = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Use-Pty=0']

export const hasApt = (): boolean => existsSync('/usr/bin/apt-get')

/** Runs apt and returns its standard output. Errors: `UsageError` with the end of apt's own messages. */
function apt(host: AptHost, tool: 'apt-get' | 'apt-cache', args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(tool, [...COMMON, ...host.options, ...args], {
    encoding: 'utf8',
    env: ENVIRONMENT,
    maxBuffer: 64 * MIB,
  })
  if (status === 0) return stdout
  const words = error?.message ?? `${stderr}`.trim().split('\n').slice(-3).join(' · ')
  throw new UsageError(`${tool} ${args.join(' ')} failed: ${words}`)
}

/** Every source apt would read: the main list and both kinds of files beside it, in apt's order. */
export function readAptSources({ etc }: AptHost): AptSource[] {
  const parts = join(etc, 'sources.list.d')
  const files = existsSync(parts) ? readdirSync(parts).sort() : []
  const list = join(etc, 'sources.list')
  const paths = [...(existsSync(list) ? [list] : []), ...files.map((name) => join(parts, name))]
  return paths.flatMap((path) => {
    if (path.endsWith('.list')) return parseOneLineSources(readFileSync(path, 'utf8'))
    return path.endsWith('.sources') ? parseDeb822Sources(readFileSync(path, 'utf8')) : []
  })
}

export const updateLists = (host: AptHost): void => void apt(host, 'apt-get', ['update', '-qq'])

/** `apt-cache madison`: `name | version | uri suite/component arch Packages`, newest first. */
export function parseMadison(text: string): AptVersion[] {
  return text.split('\n').flatMap((line) => {
    const [, version = '', origin = ''] = line.split('|').map((part) => part.trim())
    const suite = /\s(\S+)\/\S+\s\S+\sPackages$/.exec(origin)?.[1]
    return suite === undefined ? [] : [{ version, suite }]
  })
}

export const versionsOf = (host: AptHost, name: string): AptVersion[] =>
  parseMadison(apt(host, 'apt-cache', ['madison', name]))

/** The version a plain `apt-get install` would take. */
export function candidateOf(host: AptHost, name: string): string | undefined {
  const version = /^\s*Candidate: (\S+)$/m.exec(apt(host, 'apt-cache', ['policy', name]))?.[1]
  return version === '(none)' ? undefined : version
}

/**
 * Adds `suite` to apt's sources, from the mirror that the machine already uses. A suite that is configured is
 * left as it is. An added one is pinned below all others, so that apt takes from it only what is named.
 * Returns the files written. Errors: `UsageError` when no mirror is found.
 */
export function addSuite(host: AptHost, suite: string, codename: string): string[] {
  const sources = readAptSources(host)
  if (hasSuite(sources, suite)) return []
  const mirror = debianMirror(sources, codename)
  if (!mirror) {
    throw new UsageError(
      `no Debian mirror for ${codename} in ${host.etc}: add ${suite} to your apt sources and try again`,
    )
  }
  const list = join(host.etc, 'sources.list.d', `guestmemfs-${suite}.list`)
  const pin = join(host.etc, 'preferences.d', `guestmemfs-${suite}`)
  writeFileSync(list, `# Added by guestmemfs: QEMU 8.2 or newer.\n${sourceLine(mirror, suite)}`)
  writeFileSync(
    pin,
    `# Added by guestmemfs: nothing comes from here unasked.\nPackage: *\nPin: release n=${suite}\nPin-Priority: 50\n`,
  )
  return [list, pin]
}

/**
 * Installs `names` and what they depend on, and nothing that is only recommended; from `suite` where it is
 * given.
 */
export function installPackages(host: AptHost, names: readonly string[], suite?: string): void {
  const target = suite === undefined ? [] : ['-t', suite]
  apt(host, 'apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...target, ...names])
}
