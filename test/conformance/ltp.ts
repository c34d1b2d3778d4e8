/**
 * Two programs of the Linux Test Project, built from their own sources with the headers in `ltp/`: fsx, which
 * compares what it reads with what it wrote, and fsstress, which leaves the same tree for the same seed.
 */
import { cpSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compile, need, runBounded } from './programs.ts'
import type { Place, Suite } from './suite.ts'

const SOURCES = 'testcases/kernel/fs'
const HEADERS = fileURLToPath(new URL('ltp', import.meta.url))
const RUN_MS = 300_000
const SEEDS = [1, 2, 3]

/**
 * On a mount of guestmemfs an empty file that is truncated to 2 MiB or more is guest RAM, which write(2)
 * refuses. And the size of direct I/O follows from `st_blksize`, which each file system chooses.
 */
const COMPARABLE = ['truncate', 'dread', 'dwrite'].flatMap((operation) => ['-f', `${operation}=0`])
/** All attributes of a tree but times, and the sizes of directories, which each file system chooses. */
const TELL = `find . -mindepth 1 \\( -type d -printf '%P %y %m %U %G\\n' -o -printf '%P %y %s %n %m %U %G %l\\n' \\) | sort
find . -type f -print0 | sort -z | xargs -0r sha256sum`

/** One program with one seed. `isComparable`: it leaves the same tree on each file system. */
interface Exercise {
  readonly name: string
  readonly program: string
  readonly words: readonly string[]
  readonly seed: number
  readonly isComparable: boolean
}

const EXERCISES: readonly Exercise[] = SEEDS.flatMap((seed) => [
  ...[
    ['-N', '5000'],
    ['-N', '3000', '-l', '1500000', '-o', '200000'],
    ['-N', '5000', '-w', '4096', '-r', '4096', '-t', '4096'],
  ].map((words) => ({ name: `fsx ${words.join(' ')}`, program: 'fsx', words, seed, isComparable: false })),
  ...[
    {
      words: ['-c', '-n', '2000', '-p', '1', '-s', `${seed}`, ...COMPARABLE, '-d', '.'],
      isComparable: true,
    },
    { words: ['-c', '-n', '500', '-p', '4', '-s', `${seed}`, '-d', '.'], isComparable: false },
  ].map((each) => ({ name: `fsstress ${each.words.join(' ')}`, program: 'fsstress', seed, ...each })),
])

export const LTP: Suite = {
  name: 'LTP: fsx and fsstress',
  isAt: (path) => existsSync(join(path, SOURCES, 'fsx-linux/fsx-linux.c')),
  async build(path, folder) {
    need({ cc: 'gcc libc6-dev', find: 'findutils' })
    for (const name of ['fsx-linux', 'fsstress'])
      cpSync(join(path, SOURCES, name), join(folder, name), { recursive: true })
    const words = ['-w', '-O', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64', '-DNO_XFS', '-I', HEADERS]
    await compile(folder, [...words, '-o', 'fsx', 'fsx-linux/fsx-linux.c'])
    await compile(folder, [...words, '-o', 'stress', 'fsstress/fsstress.c'])
  },
  async run(folder, [reference, subject], { deadlineMs, say }) {
    const passed = { reference: 0, subject: 0 }
    const differences: string[] = []
    let checks = 0
    for (const exercise of EXERCISES) {
      if (Date.now() > deadlineMs) return { checks, passed, differences, isCutShort: true }
      const [there, here] = [await exert(folder, exercise, reference), await exert(folder, exercise, subject)]
      checks++
      if (there.failure === undefined) passed.reference++
      const why =
        here.failure ?? (there.tree === here.tree ? undefined : firstDifference(there.tree, here.tree))
      if (why === undefined) passed.subject++
      else if (there.failure === undefined) {
        differences.push(`${exercise.name}, seed ${exercise.seed}: ${why}`)
        say(differences.at(-1) as string)
      }
    }
    return { checks, passed, differences, isCutShort: false }
  },
}

interface Exerted {
  readonly failure: string | undefined
  readonly tree: string
}

async function exert(folder: string, exercise: Exercise, { path }: Place): Promise<Exerted> {
  const cwd = join(path, `${exercise.name.replace(/\W+/g, '-')}-${exercise.seed}`)
  mkdirSync(cwd)
  const program = join(folder, exercise.program === 'fsx' ? 'fsx' : 'stress')
  const words = [`SEED=${exercise.seed}`, program, ...exercise.words]
  const { output, status, isTimedOut } = await runBounded('env', words, { cwd, timeoutMs: RUN_MS })
  const last = output.trim().split('\n').at(-1) ?? ''
  const failure = isTimedOut
    ? `ended after ${RUN_MS / 1000} s`
    : status === 0
      ? undefined
      : `status ${status}: ${last}`
  const told = exercise.isComparable
    ? await runBounded('sh', ['-c', TELL], { cwd, timeoutMs: RUN_MS })
    : undefined
  return { failure, tree: told?.output ?? '' }
}

function firstDifference(there: string, here: string): string {
  const [wanted, found] = [there.split('\n'), here.split('\n')]
  const at = wanted.findIndex((line, index) => line !== found[index])
  return `it leaves '${found[at] ?? 'nothing'}' where tmpfs has '${wanted[at] ?? 'nothing'}'`
}
