/**
 * The server process: it receives the pool from its keeper, opens the image, and serves the connection in one
 * blocking thread until that is gone. Crash-only: it has no signal handlers and nothing to clean up; however
 * it dies, the next one starts here.
 */
import { openSync, writeSync } from 'node:fs'
import { writeCompileCache } from '../linux/compile-cache.ts'
import { close } from '../linux/descriptors.ts'
import { errnoOfNodeError } from '../linux/library.ts'
import { mapShared } from '../linux/memory.ts'
import { fixUmask } from '../linux/umask.ts'
import { CorruptBytesError, UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { isInRegion } from '../values/store-kinds.ts'
import { ImageInUseError } from './image-lock.ts'
import { KeeperLink } from './keeper-link.ts'
import { PROTOCOL, protocolProblem } from './messages.ts'
import { readPool } from './open-served-pool.ts'
import { setRootDirectory } from './root-directory.ts'
import { RUNTIME_AREA_BYTES, RuntimeArea } from './runtime-area.ts'
import { serveConnection } from './serve-connection.ts'

/** Where the keeper put this process's end of the socket. */
const SOCKET = 3 as Fd

fixUmask()
const link = new KeeperLink(SOCKET)
/** Below every descriptor that the keeper sends. */
const lockPlace = openSync('/dev/null', 'r') as Fd

/** A line that cannot be written (a full /run, say) is lost: it must not end the server. */
function writeLogLine(line: string): void {
  try {
    writeSync(2, `${line}\n`)
  } catch (error) {
    errnoOfNodeError(error)
  }
}

/**
 * Without a keeper this process has the only copies of the memory: the next mount's keeper takes copies and
 * kills it.
 */
const waitForever = (): Promise<never> => new Promise(() => setInterval(() => {}, 2 ** 31 - 1))

const { message: open, descriptors } = await link.expect('open')
link.send({ kind: 'hello', protocol: PROTOCOL })
const [runtimeFd, ...memfdAreas] = descriptors as readonly [Fd, ...Fd[]]

try {
  // Before anything is mapped: a pool of a version that this one cannot read stays as it is.
  const problem = protocolProblem(open.protocol, PROTOCOL)
  if (problem !== undefined) throw new UsageError(problem)
  const runtime = new RuntimeArea(mapShared(runtimeFd, RUNTIME_AREA_BYTES))
  const means = { link, runtime: runtimeFd, areas: memfdAreas, lockPlace, log: writeLogLine }
  const { totalBlocks, isNew, open: openNow } = await readPool(open, means)
  const alignBytes = isInRegion(open.source) ? (open.source.alignBytes ?? null) : null
  link.send({ kind: 'opened', totalBlocks, isNew })
  // Killed servers write no compile cache: the first one writes it for the next ones, before a request can
  // wait for it.
  if (!runtime.isEstablished) writeCompileCache()
  const { message: orders, descriptors: connection } = await link.expect('serve')
  const fuse = connection[0] as Fd
  const { store, fs, image } = openNow(orders.endedPid)
  if (open.rootDirectory) setRootDirectory(fs, open.rootDirectory, image.lastOrigin ?? { epoch: 0 })
  if (!orders.isCrashed) runtime.resetAttempts()
  const startedAt = new Date().toISOString()
  const { restarts, keeperPid, askedAtMs } = orders
  fs.addRootXattr('server', () =>
    JSON.stringify({ pid: process.pid, askedAtMs, startedAt, restarts, keeperPid }),
  )
  const report = writeLogLine
  const whenServing = () => link.trySend({ kind: 'serving' })
  serveConnection({ fs, image, store, runtime, fuse, report, alignBytes, whenServing })
  const { files, freeFiles } = fs.statfs()
  // A pool with the root directory alone need not be kept.
  const isHeld = store.hostMemory !== undefined && files - freeFiles > 1
  // The server closes it, because the next mount's keeper takes a connection that it finds in this process
  // for one in use.
  close(fuse)
  // A message that was sent may not have been read: the socket of a dying keeper takes messages to the end.
  // Only its answer proves that the keeper holds the memory.
  const isReleased =
    link.trySend({ kind: 'unmounted', isHeld }) && (await link.receive())?.message.kind === 'released'
  if (isHeld && !isReleased) await waitForever()
} catch (error) {
  // Where a region cannot be opened or an image cannot be read, the operator must decide; any other error is
  // a crash.
  if (!(error instanceof CorruptBytesError || error instanceof UsageError)) throw error
  const ownerPid = error instanceof ImageInUseError ? error.ownerPid : undefined
  link.send({ kind: 'refused', reason: error.message, ownerPid })
}
