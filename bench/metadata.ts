/**
 * The bench of metadata: create, stat, truncate, unlink against libfuse's C example over tmpfs, side by side.
 */
import {
  closeSync,
  mkdirSync,
  openSync,
  rmdirSync,
  statfsSync,
  statSync,
  truncateSync,
  unlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { bestOf, interleave, type Measured, type Side } from './harness.ts'
import { buildPassthroughLl, withPassthroughLl } from './peers/passthrough-ll.ts'
import { withPool } from './pool.ts'
import { atLeastRow, fact, type Result, type Row } from './report.ts'

const FILES = 1000
/** V8 compiles a server's code while it is used: until then it is several times slower. */
const WARM_UPS = 5
/** `first stat` is the first one after a create: the kernel may have to ask the server for it. */
const OPERATIONS = ['create', 'first stat', 'stat', 'truncate', 'unlink'] as const

/**
 * Operations per second of one round in a directory of its own. Each takes two processes, which any other one
 * disturbs: rounds are short, and the best of many is the least disturbed. `unlink` ends when the server has
 * evicted every file: both sides free a file only after the kernel has forgotten it, and count it among the
 * files of statfs(2) until then.
 */
function round(mountPoint: string): Record<string, number> {
  const folder = join(mountPoint, 'round')
  mkdirSync(folder)
  const { ffree } = statfsSync(mountPoint)
  const paths = Array.from({ length: FILES }, (_, index) => join(folder, `file-${index}`))
  const rate = (operation: (path: string) => void, settle = () => {}): number => {
    const started = performance.now()
    for (const path of paths) operation(path)
    settle()
    return (FILES * 1000) / (performance.now() - started)
  }
  const settled = (): void => {
    while (statfsSync(mountPoint).ffree < ffree);
  }
  const figures = {
    create: rate((path) => closeSync(openSync(path, 'wx'))),
    'first stat': rate((path) => void statSync(path)),
    stat: rate((path) => void statSync(path)),
    truncate: rate((path) => truncateSync(path, 4096)),
    unlink: rate(unlinkSync, settled),
  }
  rmdirSync(folder)
  return figures
}

function rows(measured: readonly Measured[]): Row[] {
  const [ours, ...peers] = measured as [Measured, ...Measured[]]
  const perSecond = (side: Measured, figure: string): string =>
    Math.round(bestOf(side, figure)).toLocaleString('en')
  return OPERATIONS.flatMap((figure) => [
    ...peers.map((peer) => {
      const [about, ratio] = [`${figure}, against ${peer.name}`, bestOf(ours, figure) / bestOf(peer, figure)]
      return peer.name === NO_DUTIES ? fact(about, ratio.toFixed(3)) : atLeastRow(about, ratio, 1)
    }),
    fact(`${figure} per second, guestmemfs`, perSecond(ours, figure)),
  ])
}

/** Permission checks by the kernel for every user, and xattrs: what a mount of guestmemfs does. */
const DUTIES = 'allow_other,default_permissions,xattr'
const NO_DUTIES = 'the example as it is'

/**
 * The example with the same duties as guestmemfs, in three ways: the kernel may cache for a day, as here, for
 * a second, the example's own default, or not at all. The checks take a GETATTR of the directory after each
 * change in it (`fuse_permission`, fs/fuse/dir.c), and xattrs a GETXATTR before each truncate. Beside them,
 * as a fact, the example as it is: it has neither, and every user of the mount acts as root.
 */
const PEERS = {
  'timeout=86400': `timeout=86400,${DUTIES}`,
  'timeout=1': `timeout=1,${DUTIES}`,
  'timeout=0': `timeout=0,${DUTIES}`,
  [NO_DUTIES]: 'timeout=1',
} as const

/** `before`: the folder of another version's sources, measured as one more side. */
export function benchMetadata(
  rounds: number,
  progress: (line: string) => void,
  before?: string,
): Promise<Result> {
  const binary = buildPassthroughLl(progress)
  const withPeers = async (left: readonly string[], sides: readonly Side[]): Promise<Measured[]> => {
    const [name, ...others] = left
    if (name === undefined) return await interleave(sides, { rounds, warmUps: WARM_UPS, progress })
    return await withPassthroughLl(binary, PEERS[name as keyof typeof PEERS], (mountPoint) =>
      withPeers(others, [...sides, { name, run: () => round(mountPoint) }]),
    )
  }
  return withPool('8G', async ({ mountPoint }) => {
    const ours = { name: 'guestmemfs', run: () => round(mountPoint) }
    const all = (sides: readonly Side[]) => withPeers(Object.keys(PEERS), sides)
    const former = (at: string): Side => ({ name: 'before', run: () => round(at) })
    const measured = await (before === undefined
      ? all([ours])
      : withPool('8G', (pool) => all([ours, former(pool.mountPoint)]), before))
    return {
      name: 'metadata',
      title:
        "Metadata, against libfuse's passthrough_ll over tmpfs with the same duties (throughput ratio, best round of each)",
      settings: { files: FILES, rounds },
      measured,
      rows: rows(measured),
    }
  })
}
