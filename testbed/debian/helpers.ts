/**
 * The helper programs of guests, as Debian packages them: unpacked into the cache and run by their own
 * loader, so nothing is installed and the machine's C library does not matter.
 */
import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { UsageError } from '../../src/values/errors.ts'
import { cached, cacheFolder } from '../cache.ts'
import { CommandError, command } from '../command.ts'
import { type AptChoice, SUITES, sourcesFromThisMachine, withFreshLists } from './apt.ts'
import { unpackPackages } from './unpack.ts'

interface HelperProgram {
  readonly packages: readonly string[]
  /** In the tree of the packages. */
  readonly path: string
  /** Folders of libraries beside the system's own, which the program has by their absolute paths. */
  readonly libraries?: readonly string[]
  /** Default: that of the testbed's host. */
  readonly suite?: string
}

const LIBRARIES = 'usr/lib/x86_64-linux-gnu'

/** By the word that tests have for it. The last one is QEMU 7.2's own, which cannot give its state away. */
const HELPERS = {
  swtpm: { packages: ['swtpm'], path: 'usr/bin/swtpm', libraries: [`${LIBRARIES}/swtpm`] },
  virtiofsd: { packages: ['virtiofsd'], path: 'usr/libexec/virtiofsd' },
  passt: { packages: ['passt'], path: 'usr/bin/passt' },
  agent: { packages: ['qemu-guest-agent'], path: 'usr/sbin/qemu-ga' },
  'old virtiofsd': { packages: ['qemu-system-common'], path: 'usr/lib/qemu/virtiofsd', suite: 'bookworm' },
} as const satisfies Record<string, HelperProgram>

export type Helper = keyof typeof HELPERS

const ROOM_BYTES = 200 * 2 ** 20

/** The words that run it, for a shell. Errors: as of apt. */
export function findHelper(name: Helper): Promise<string> {
  const { packages, path, libraries: own = [], suite = SUITES[0] }: HelperProgram = HELPERS[name]
  return withFreshLists(
    async (apt) => {
      const closure = await apt.closure(packages)
      const [wanted] = closure.filter((each) => each.name === packages[0])
      const tree = await cached(
        `helpers/${wanted?.name}_${wanted?.version.replaceAll(':', '%3a')}`,
        async (folder) => {
          await unpackPackages(apt, closure, folder)
          return folder
        },
        { needsBytes: ROOM_BYTES, what: name },
      )
      const libraries = [LIBRARIES, 'lib/x86_64-linux-gnu', ...own]
        .map((name) => join(tree, name))
        .filter(existsSync)
      const loader = libraries.map((folder) => join(folder, 'ld-linux-x86-64.so.2')).find(existsSync)
      if (loader === undefined) throw new Error(`${tree} holds no loader`)
      return `${loader} --library-path ${libraries.join(':')} ${join(tree, path)}`
    },
    undefined,
    choiceOf(suite),
  )
}

const choiceOf = (suite: string): AptChoice =>
  suite === SUITES[0]
    ? {}
    : { sources: sourcesFromThisMachine([suite]), suite, folder: cacheFolder(`apt-${suite}`) }

/**
 * The files of such a program, by name: itself, its loader as `ld.so`, and the libraries that it needs, for a
 * folder of which they are all. Errors: as of apt.
 */
export async function helperFiles(name: Helper): Promise<ReadonlyMap<string, Buffer>> {
  const words = (await findHelper(name)).split(' ')
  const [loader, program] = [words[0], words.at(-1)] as [string, string]
  const listed = await command(loader, [...words.slice(1, -1), '--list', program])
  const libraries = [...listed.matchAll(/=> (\/\S+) \(0x/g)].map(([, path]) => path as string)
  const files = [program, ...libraries].map((path) => [basename(path), readFileSync(path)] as const)
  return new Map([['ld.so', readFileSync(loader)], ...files])
}

/** Why a test that needs them cannot run here, in one line; false: it can. Fetches them. */
export async function missingHelper(...names: readonly Helper[]): Promise<string | false> {
  try {
    for (const name of names) await findHelper(name)
    return false
  } catch (error) {
    // Any other error is a fault of the tests.
    if (!(error instanceof UsageError || error instanceof CommandError)) throw error
    return `no ${names.join(', ')} from Debian here: ${error.message.split('\n')[0]}`
  }
}
