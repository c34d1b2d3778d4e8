/**
 * Owns the keeper process: reads what pool to keep from its first argument, tells whoever started it (on
 * descriptor 3) whether the mount serves, then stays until nothing is left to hold.
 */
import { closeSync, writeSync } from 'node:fs'
import { writeCompiled } from '../linux/compiled.ts'
import { UsageError } from '../values/errors.ts'
import { Keeper, type KeeperOptions } from './keeper.ts'
import { KeeperLog } from './log.ts'
import { makeRunDirectory } from './pool-record.ts'

/** One JSON line: what the starter prints. */
export type Readiness =
  | { readonly ok: true; readonly sizeBytes: number }
  | { readonly ok: false; readonly reason: string }
const READY_FD = 3

const tell = (readiness: Readiness): void => {
  try {
    writeSync(READY_FD, `${JSON.stringify(readiness)}\n`)
    closeSync(READY_FD)
  } catch {
    // Whoever started us is gone; the pool serves all the same.
  }
}

const options = JSON.parse(process.argv[2] ?? 'null') as KeeperOptions
process.title = `guestmemfs-keeper ${options.pool}`
// Nothing of ours may keep a directory of some other file system busy.
process.chdir('/')
makeRunDirectory()
const log = new KeeperLog(options.pool)

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  // Ending would take the guests' memory with it. Whoever means that says so: `guestmemfs umount --discard`.
  process.on(signal, () =>
    log.event(`${signal} ignored: this process holds the pool's memory; use 'guestmemfs umount'`),
  )
}

let keeper: Keeper
try {
  keeper = new Keeper(options, log)
  await keeper.start()
} catch (error) {
  const isForPeople = error instanceof UsageError
  if (!isForPeople)
    log.note('the pool could not be mounted', { error: error instanceof Error ? error.stack : error })
  tell({ ok: false, reason: error instanceof Error ? error.message : String(error) })
  process.kill(process.pid, 'SIGKILL')
  throw error
}
tell({ ok: true, sizeBytes: keeper.sizeBytes })
writeCompiled()

if ((await keeper.run()) === 'ended') process.exit(0)
// Parked: the descriptors are the memory. The next mount copies them out of this process and ends it.
setInterval(() => {}, 2 ** 31 - 1)
