/**
 * Owns the keeper process: hears what pool to keep from whoever started it, tells them whether the mount
 * serves, then stays until nothing is left to hold. Not told anything, it ends.
 */
import { closeSync, readSync, writeSync } from 'node:fs'
import { writeCompiled } from '../linux/compiled.ts'
import { duplicateOver } from '../linux/descriptors.ts'
import { ensureFolder, POOLS } from '../run/paths.ts'
import { writePoolRecord } from '../run/pool-record.ts'
import { identify } from '../run/process-identity.ts'
import { errorText, UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { CONTACT_FD, type KeeperOptions, type Readiness } from './contact.ts'
import { Keeper } from './keeper.ts'
import { KeeperLog } from './log.ts'
import { UnusableHandoverError } from './open-pool.ts'

const tell = (readiness: Readiness): void => {
  try {
    writeSync(CONTACT_FD, `${JSON.stringify(readiness)}\n`)
    closeSync(CONTACT_FD)
  } catch {
    // Whoever started us is gone; the pool serves all the same.
  }
}

/** Blocks: there is nothing else to do. Undefined: whoever started us wants no keeper after all. */
function hear(): KeeperOptions | undefined {
  let text = ''
  const bytes = Buffer.alloc(64 * 1024)
  while (!text.endsWith('\n')) {
    const length = readSync(CONTACT_FD, bytes)
    if (length === 0) return undefined
    text += bytes.toString('utf8', 0, length)
  }
  return JSON.parse(text) as KeeperOptions
}

const options = hear() ?? process.exit(0)
process.title = `guestmemfs-keeper ${options.pool}`
// Nothing of ours may keep a directory of some other file system busy.
process.chdir('/')
ensureFolder(POOLS)
const log = new KeeperLog(options.pool)
// The streams of whoever mounts are theirs; what ends us is told in the log.
for (const stream of [1, 2] as Fd[]) duplicateOver(log.fd, stream)
/** systemd brings another keeper, and one that stops a unit means to. */
const isUnit = process.env.GUESTMEMFS_UNIT !== undefined
let keeper: Keeper | undefined

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  // Ending would take the guests' memory with it. Whoever means that says so: `guestmemfs umount --discard`.
  process.on(signal, () => {
    if (isUnit && signal === 'SIGTERM' && keeper?.isDispensable) {
      log.event('SIGTERM: the server holds the pool until the unit starts again')
      process.exit(0)
    }
    log.event(`${signal} ignored: this process holds the pool's memory; use 'guestmemfs umount'`)
  })
}

/** What this process holds is held by nobody else: until the next mount copies it out and ends us, or somebody gives it up. */
const stay = (): void => void setInterval(() => {}, 2 ** 31 - 1)

/** The former kernel handed over what cannot be used: a record leads to it, so that it can be given up. */
function parkStranded(): void {
  const self = identify(process.pid)
  if (self === undefined) return
  const { pool, source } = options
  writePoolRecord({
    pool,
    source,
    sizeBytes: 0,
    state: 'parked',
    mountPoint: null,
    keeper: self,
    server: null,
  })
}

try {
  keeper = await Keeper.make(options, log)
  if (options.isParked) keeper.park()
  else await keeper.start()
} catch (error) {
  const isForPeople = error instanceof UsageError
  if (isForPeople) log.note(error.message)
  else log.note('the pool could not be mounted', { error: error instanceof Error ? error.stack : error })
  tell({ ok: false, reason: errorText(error) })
  const holdsAlone = error instanceof UnusableHandoverError || keeper?.isArriving === true
  if (!holdsAlone) {
    process.kill(process.pid, 'SIGKILL')
    throw error
  }
  if (keeper === undefined) parkStranded()
  else keeper.park()
  stay()
  keeper = undefined
}

if (keeper !== undefined) {
  const { sizeBytes, isNew, isArriving } = keeper
  tell({ ok: true, sizeBytes, isNew, isArriving })
  writeCompiled()
  if (!options.isParked && (await keeper.run()) === 'ended') process.exit(0)
  stay()
}
