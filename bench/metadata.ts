/**
 * The bench of metadata: create, stat, truncate, unlink against libfuse's C example over tmpfs, side by side.
 */
import { closeSync, mkdirSync, openSync, rmdirSync, statSync, truncateSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { bestOf, interleave, type Measured, type Side } from './harness.ts'
import { buildPassthroughLl, withPassthroughLl } from './peers/passthrough-ll.ts'
import { withPool } from './pool.ts'
import { atLeastRow, fact, type Result, type Row } from './report.ts'

const FILES = 1000
/** V8 compiles a server's code while it is used: until then it is several times slower. */
const WARM_UPS = 5
/**
 * `first stat` needs the birth time, as Node always requests it: after a create the kernel must ask the
 * server for it.
 */
const OPERATIONS = ['create', 'first stat', 'stat', 'truncate', 'unlink'] as const

/**
 * Operations per second of one round in a directory of its own. Each takes two processes, which any other one
 * disturbs: rounds are short, and the best of many is the least disturbed.
 */
function round(mountPoint: string): Record<string, number> {
  const folder = join(mountPoint, 'round')
  mkdirSync(folder)
  const paths = Array.from({ length: FILES }, (_, index) => join(folder, `file-${index}`))
  const rate = (operation: (path: string) => void): number => {
    const started = performance.now()
    for (const path of paths) operation(path)
    return (FILES * 1000) / (performance.now() - started)
  }
  const figures = {
    create: rate((path) => closeSync(openSync(path, 'wx'))),
    'first stat': rate((path) => void statSync(path)),
    stat: rate((path) => void statSync(path)),
    truncate: rate((path) => truncateSync(path, 4096)),
    unlink: rate((path) => unlinkSync(path)),
  }
  rmdirSync(folder)
  return figures
}

function rows(measured: readonly Measured[]): Row[] {
  const [ours, ...peers] = measured as [Measured, ...Measured[]]
  const perSecond = (side: Measured, figure: string): string =>
    Math.round(bestOf(side, figure)).toLocaleString('en')
  return OPERATIONS.flatMap((figure) => [
    ...peers.map((peer) =>
      atLeastRow(`${figure}, against ${peer.name}`, bestOf(ours, figure) / bestOf(peer, figure), 1),
    ),
    fact(`${figure} per second, guestmemfs`, perSecond(ours, figure)),
  ])
}

/**
 * The example is measured in three ways. `same duties`: with the cache timeouts of guestmemfs, permission
 * checks by the kernel, and xattrs, so that both do the same work: the checks take a GETATTR of the directory
 * after each change in it (`fuse_permission`, fs/fuse/dir.c), and xattrs a GETXATTR before each truncate. Its
 * default, a timeout of one second, has neither: every user of the mount acts as root. With `timeout=0` it
 * answers each stat itself.
 */
const PEERS = {
  'same duties': 'timeout=86400,allow_other,default_permissions,xattr',
  'timeout=0': 'timeout=0',
  'timeout=1': 'timeout=1',
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
      title: "Metadata, against libfuse's passthrough_ll over tmpfs (throughput ratio, best round of each)",
      settings: { files: FILES, rounds },
      measured,
      rows: rows(measured),
    }
  })
}
