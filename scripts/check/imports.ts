/**
 * The import rule: which folder of `src/` may import which other. The table is the architecture; add a line
 * here before the first import that needs it. Must not: excuse single files without a reason.
 */
import { isTest, type Source } from './sources.ts'

interface Rule {
  /** Other folders, or single files of them, that this folder may import. */
  readonly may: readonly string[]
  /** Packages and `node:` modules; `undefined` allows all but those that belong to one folder. */
  readonly packages?: readonly string[]
}

/**
 * `cli` and `commands` import each other: `cli/program.ts` loads the commands, and they use its printing and
 * its options.
 */
const BELOW_COMMANDS = [
  ...['values', 'linux', 'bootmem', 'run', 'pool', 'host', 'qemu', 'liveupdate', 'metrics', 'cli', 'libvirt'],
  ...['stores/registry.ts', 'stores/store.ts', 'fs/image/dump-image.ts', 'early'],
]

/**
 * What `pool` knows of the keeper's process: the lines by which it starts one, what a process that is one
 * holds, and what the manager's store passes on. It also names that process's first file.
 */
const KEEPER_AS_PEER = [
  ...['keeper/contact.ts', 'keeper/fdstore/restored.ts', 'keeper/luo/manifest.ts'],
  ...[
    'keeper/takeover/held-areas.ts',
    'keeper/takeover/holder-process.ts',
    'keeper/takeover/process-role.ts',
  ],
]

/** What `pool` does as a server would: it formats a region, and examines one. */
const SERVER_AS_LIBRARY = [
  ...['server/messages.ts', 'server/open-file-system.ts', 'server/open-store.ts', 'server/runtime-area.ts'],
]

/** One row per folder of `src/`. */
export const RULES: Record<string, Rule> = {
  values: { may: [], packages: [] },
  linux: { may: ['values'] },
  bootmem: { may: ['values', 'linux'] },
  run: { may: ['values', 'linux'] },
  stores: { may: ['values', 'linux'] },
  fs: { may: ['values', 'stores/store.ts'], packages: ['node:zlib'] },
  fuse: { may: ['values', 'linux'] },
  server: { may: ['values', 'linux', 'stores', 'fs', 'fuse'] },
  keeper: { may: ['values', 'linux', 'run', 'server/messages.ts', 'server/runtime-area.ts', 'stores'] },
  qemu: { may: ['values', 'linux', 'run'] },
  libvirt: { may: ['values', 'linux', 'run', 'qemu', 'host', 'pool', 'stores/registry.ts'] },
  liveupdate: {
    may: [...['values', 'linux', 'run', 'bootmem', 'qemu', 'host', 'pool', 'libvirt'], 'stores/registry.ts'],
  },
  early: {
    may: [
      ...['values', 'linux', 'run', 'stores', 'fs', 'pool', 'qemu', 'liveupdate'],
      'server/open-file-system.ts',
    ],
  },
  pool: { may: ['values', 'linux', 'run', 'stores', 'fs', ...SERVER_AS_LIBRARY, ...KEEPER_AS_PEER] },
  host: { may: ['values', 'linux', 'bootmem'] },
  metrics: { may: ['values', 'linux', 'run', 'qemu', 'pool', 'liveupdate'] },
  commands: { may: BELOW_COMMANDS },
  cli: {
    may: [
      ...['values', 'run', 'qemu', 'pool', 'liveupdate', 'commands'],
      ...['linux/system-log.ts', 'linux/end-by-sigpipe.ts', 'early/before-mount.ts'],
    ],
  },
  'cli.ts': { may: ['linux', 'pool/waiting-keeper.ts', 'pool/has-unit.ts', 'early', 'cli'] },
}

/** Packages that only one folder may use. */
const OWNED_PACKAGES: Record<string, string> = { koffi: 'linux' }

const room = (path: string): string => path.split('/')[1] ?? ''

function allowed(rule: Rule, from: string, to: string): boolean {
  if (room(to) === from) return true
  return rule.may.some((may) => (may.endsWith('.ts') ? to === `src/${may}` : room(to) === may))
}

function packageProblem(from: string, rule: Rule, name: string): string | undefined {
  const owner = OWNED_PACKAGES[name]
  if (owner !== undefined && owner !== from) return `only src/${owner} imports ${name}`
  if (rule.packages && !rule.packages.includes(name)) return `src/${from} may not import ${name}`
  return undefined
}

/** Problems of one file of `src/` against the table. Tests may import any folder, but not koffi. */
function roomProblems(source: Source): string[] {
  const from = room(source.path)
  const rule = RULES[from]
  if (!rule) return [`src/${from} is a folder without a rule: add it to scripts/check/imports.ts`]
  return source.imports.flatMap((to) => {
    if (to.startsWith('src/'))
      return isTest(source.path) || allowed(rule, from, to) ? [] : [`may not import ${to}`]
    if (/^(test|campaigns|testbed|bench|scripts)\//.test(to))
      return isTest(source.path) ? [] : [`src/ may not import ${to}`]
    if (isTest(source.path) && to !== 'koffi') return []
    return packageProblem(from, rule, to) ?? []
  })
}

/** Import cycles, each once, as `a → b → a`. Type imports count: a cycle of types is a cycle of ideas. */
export function cycles(sources: readonly Source[]): string[] {
  const byPath = new Map(sources.map((source) => [source.path, source]))
  const done = new Set<string>()
  const found: string[] = []
  const visit = (path: string, trail: string[]): void => {
    const at = trail.indexOf(path)
    if (at >= 0) found.push([...trail.slice(at), path].join(' → '))
    if (at >= 0 || done.has(path)) return
    for (const next of byPath.get(path)?.imports ?? []) if (byPath.has(next)) visit(next, [...trail, path])
    done.add(path)
  }
  for (const source of sources) visit(source.path, [])
  return found
}

export function importProblems(sources: readonly Source[]): string[] {
  const broken = sources.flatMap((source) => {
    if (source.path.startsWith('src/'))
      return roomProblems(source).map((problem) => `${source.path}: ${problem}`)
    // A test may import koffi, to make a system call fail.
    if (source.path.startsWith('test/')) return []
    return source.imports.includes('koffi') ? [`${source.path}: only src/linux imports koffi`] : []
  })
  return [...broken, ...cycles(sources).map((cycle) => `cycle: ${cycle}`)]
}
