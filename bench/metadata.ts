/**
 * Owns the bench of metadata: create, stat, truncate, unlink against libfuse's C example over tmpfs, side by
 * side.
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
 * `first stat` asks for the birth time, as Node always does: a kernel that has only seen the create must ask
 * for it.
 */
const OPERATIONS = ['create', 'first stat', 'stat', 'truncate', 'unlink'] as const

/**
 * Operations per second of one round in a directory of its own. Each is a conversation of two processes, and
 * whoever else wants the processors is a third: rounds are short, and the best of many is the one that was
 * left alone.
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
 * The example is measured in three ways. `same duties`: what it tells the kernel holds as long as ours, the
 * kernel checks permissions for it, and it has xattrs. That is like against like: checking costs a GETATTR of
 * the directory after each change in it (`fuse_permission`, fs/fuse/dir.c), and having xattrs a GETXATTR
 * before each truncate. Its own default, one second, does neither: whoever reaches the mount is root there.
 * With `timeout=0` it answers each stat itself.
 */
const PEERS = {
  'same duties': 'timeout=86400,allow_other,default_permissions,xattr',
  'timeout=0': 'timeout=0',
  'timeout=1': 'timeout=1',
} as const

/** `before`: sources of another version, which is measured as one more side. */
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
