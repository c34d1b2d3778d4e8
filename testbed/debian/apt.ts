/**
 * A private apt: its own sources, lists and an empty package database in the cache, so that Debian packages
 * of several suites can be resolved, verified (signatures and checksums are apt's) and downloaded on any
 * Debian machine. Must not: change the machine's own apt.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseMadison, readAptSources, THIS_HOST } from '../../src/host/apt.ts'
import { debianMirror, sourceLine } from '../../src/host/apt-sources.ts'
import { osRelease } from '../../src/host/os-release.ts'
import { UsageError } from '../../src/values/errors.ts'
import { cacheFolder } from '../cache.ts'
import { CommandError, command } from '../command.ts'

/** The host's userland is from the first; kernels are from any. */
export const SUITES = ['trixie', 'trixie-backports', 'bookworm-backports'] as const
/** apt-get's message for a file that the lists name and the mirror does not have. */
const GONE = /\b404 {1,2}Not Found|was not found$/m
const LISTS_STAY_FRESH_MS = 24 * 3600 * 1000

/** One version of one package, as a suite offers it. */
export interface Package {
  readonly name: string
  readonly version: string
}

export interface OfferedPackage extends Package {
  readonly suite: string
}

/** The mirror no longer has this version: its lists have changed since apt read them. */
export class PackageGoneError extends Error {
  override readonly name = 'PackageGoneError'
}

export interface AptChoice {
  /** Lines of a sources.list. Default: our suites, from the mirror that this machine gets Debian from. */
  readonly sources?: string
  /** The suite of `sources` that packages come from where none is named. Default: the host's own. */
  readonly suite?: string
  /** The folder for its files. Default: in the cache. */
  readonly folder?: string
  /** Reads the lists of the suites again, however new they are. */
  readonly refresh?: boolean
}

export class Apt {
  readonly #config: string

  private constructor(config: string) {
    this.#config = config
  }

  /** Writes the configuration, and fetches the lists of the suites when they are missing or a day old. */
  static async open(choice: AptChoice = {}): Promise<Apt> {
    const folder = choice.folder ?? cacheFolder('apt')
    for (const part of ['lists/partial', 'archives/partial', 'apt.conf.d', 'none'])
      mkdirSync(join(folder, part), { recursive: true })
    const config = join(folder, 'apt.conf')
    writeIfOther(config, configuration(folder, choice.suite ?? SUITES[0]))
    writeIfOther(join(folder, 'sources.list'), choice.sources ?? sourcesFromThisMachine())
    writeIfOther(join(folder, 'status'), '')
    const apt = new Apt(config)
    const stamp = join(folder, 'updated')
    await apt.#refresh(stamp, choice.refresh === true)
    return apt
  }

  /** Without a network old lists are used, so that packages in the cache can be run. */
  async #refresh(stamp: string, isAsked: boolean): Promise<void> {
    if (!isAsked && existsSync(stamp) && Date.now() - statSync(stamp).mtimeMs < LISTS_STAY_FRESH_MS) return
    try {
      await this.#runAlone(['update', '-q', '-o', 'APT::Update::Error-Mode=any'])
      writeFileSync(stamp, '')
    } catch (error) {
      if (!existsSync(stamp)) throw error
    }
  }

  /** Every version of `name` that a suite offers. */
  async offers(name: string): Promise<OfferedPackage[]> {
    const offers = parseMadison(await this.#run('apt-cache', ['madison', name]))
    return offers.map(({ version, suite }) => ({ name, version, suite }))
  }

  /** Names of the packages that `name` depends on directly, alternatives and versions left out. */
  async dependencies(wanted: Package): Promise<string[]> {
    const text = await this.#run('apt-cache', ['show', `${wanted.name}=${wanted.version}`])
    const depends = /^Depends: (.*)$/m.exec(text)?.[1] ?? ''
    return depends.split(',').flatMap((entry) => /^\s*([a-z0-9][a-z0-9.+-]*)/.exec(entry)?.[1] ?? [])
  }

  /**
   * `names` and all they need, in versions of the first suite, as apt's own solver finds them. A name may be
   * followed by the suite that it is wanted from: `seabios/trixie-backports`.
   */
  async closure(names: readonly string[]): Promise<Package[]> {
    const plan = await this.#run('apt-get', ['install', '--simulate', '-q', '-y', ...names])
    return [...plan.matchAll(/^Inst (\S+) \((\S+) /gm)].map(([, name, version]) => ({
      name: name as string,
      version: version as string,
    }))
  }

  /** Downloads into `folder`. apt checks each file against the signed lists. Throws `PackageGoneError`. */
  async download(packages: readonly Package[], folder: string): Promise<void> {
    const wanted = packages.map(({ name, version }) => `${name}=${version}`)
    try {
      await this.#runAlone(['download', '-q', ...wanted], folder)
    } catch (error) {
      if (!(error instanceof CommandError) || !GONE.test(error.message)) throw error
      throw new PackageGoneError(`the mirror has a package no more (${error.message.slice(0, 300)})`)
    }
  }

  /** One at a time on this machine: apt-get fails at once where another one holds its lock. */
  #runAlone(args: readonly string[], cwd?: string): Promise<string> {
    const options = cwd === undefined ? {} : { cwd }
    // Without a process between, so that the lock ends with apt-get, and both end with this process.
    const words = ['--pdeathsig', 'TERM', 'flock', '--no-fork', `${this.#config}.lock`, 'apt-get', ...args]
    return this.#run('setpriv', words, options)
  }

  #run(program: string, args: readonly string[], options: { readonly cwd?: string } = {}): Promise<string> {
    return command(program, args, { timeoutMs: 600_000, ...options, env: { APT_CONFIG: this.#config } })
  }
}

/** Writes the file at once, and only where it differs: another testbed's apt may be reading it. */
function writeIfOther(file: string, text: string): void {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return
  writeFileSync(`${file}.${process.pid}`, text)
  renameSync(`${file}.${process.pid}`, file)
}

function configuration(folder: string, suite: string): string {
  const settings = {
    'Dir::Etc': folder,
    'Dir::Etc::sourcelist': join(folder, 'sources.list'),
    'Dir::Etc::sourceparts': join(folder, 'none'),
    'Dir::Etc::parts': join(folder, 'apt.conf.d'),
    'Dir::Etc::preferencesparts': join(folder, 'none'),
    'Dir::State::status': join(folder, 'status'),
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::Cache': folder,
    'Dir::Cache::archives': join(folder, 'archives'),
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
    'APT::Architecture': 'amd64',
    'APT::Default-Release': suite,
    'APT::Install-Recommends': 'false',
    // apt's unprivileged helper user cannot enter a cache in a user's home folder.
    'APT::Sandbox::User': 'root',
  }
  return Object.entries(settings)
    .map(([key, value]) => `${key} "${value}";\n`)
    .join('')
}

/**
 * Lines for `suites`, from the mirror that this machine gets Debian from. Errors (UsageError): it has none.
 */
export function sourcesFromThisMachine(suites: readonly string[] = SUITES): string {
  const mirror = debianMirror(readAptSources(THIS_HOST), osRelease().codename || SUITES[0])
  if (mirror === undefined)
    throw new UsageError(
      `no Debian mirror in ${THIS_HOST.etc}: the testbed's host is made of Debian packages`,
    )
  return suites.map((suite) => sourceLine(mirror, suite)).join('')
}

/**
 * `attempt`, and once more with lists read anew where the mirror has newer packages meanwhile, which the
 * lists then name. `say` gets a line about it.
 */
export async function withFreshLists<T>(
  attempt: (apt: Apt) => Promise<T>,
  say: (line: string) => void = (line) => process.stderr.write(`${line}\n`),
  choice: AptChoice = {},
): Promise<T> {
  try {
    return await attempt(await Apt.open(choice))
  } catch (error) {
    if (!(error instanceof PackageGoneError)) throw error
    say(`${error.message}: reading the package lists again, for the version that took its place`)
    return attempt(await Apt.open({ ...choice, refresh: true }))
  }
}
