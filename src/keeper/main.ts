/**
 * The keeper process. It reads its options from the process that started it, answers whether the mount
 * serves, and then runs until nothing is left to hold. It ends when it is sent no options.
 */
import { closeSync, readSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { writeCompileCache } from '../linux/compile-cache.ts'
import { duplicateOver } from '../linux/descriptors.ts'
import { setOomScore } from '../linux/process.ts'
import { fixUmask } from '../linux/umask.ts'
import { makeFolder, POOLS } from '../run/paths.ts'
import { identify } from '../run/process-identity.ts'
import { boundVmLogs } from '../run/vm-logs.ts'
import { errorText, UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { CONTACT_FD, CONTACT_VERSION, type KeeperOptions, type Readiness } from './contact.ts'
import { Keeper } from './keeper.ts'
import { KeeperLog } from './log.ts'
import { UnusableHandoverError } from './open-pool.ts'
import { recordPool } from './record-pool.ts'
import { comeForward, stayBehind } from './server-nice.ts'
import { keeperTitle } from './takeover/process-role.ts'

function sendReady(readiness: Readiness): void {
  // It waits at the descriptor that is closed here.
  comeForward()
  try {
    writeSync(CONTACT_FD, `${JSON.stringify(readiness)}\n`)
    closeSync(CONTACT_FD)
  } catch {
    // The process that started this one is gone; the pool serves all the same.
  }
}

/**
 * Blocks, as there is nothing else to do. `hasMore`: with the next line. undefined: the process that started
 * this one does not need a keeper.
 */
function readOptions(): { readonly options: KeeperOptions; readonly hasMore: boolean } | undefined {
  let text = ''
  const bytes = Buffer.alloc(64 * 1024)
  while (!text.endsWith('\n')) {
    const length = readSync(CONTACT_FD, bytes)
    if (length === 0) return undefined
    text += bytes.toString('utf8', 0, length)
  }
  return { options: JSON.parse(text), hasMore: text.indexOf('\n') < text.length - 1 }
}

fixUmask()
const { options, hasMore } = readOptions() ?? process.exit(0)
if (options.version !== CONTACT_VERSION) {
  const reason = `guestmemfs was replaced by another version while it started: mount '${options.pool}' again`
  sendReady({ ok: false, reason })
  process.exit(1)
}
if (options.formerNice !== undefined) stayBehind(options.formerNice)
if (hasMore) comeForward()
process.title = keeperTitle(options.pool)
// The working directory of a keeper must not keep another file system busy.
process.chdir('/')
// Where /run takes no files, the pool comes up without them.
makeFolder(POOLS)
const log = new KeeperLog(options.pool)
// The standard streams belong to the command that mounts; what ends this process is written to the log.
for (const stream of [1, 2] as Fd[]) duplicateOver(log.fd, stream)
/** systemd starts the next keeper, and SIGTERM comes from an operator who stops the unit on purpose. */
const isUnit = process.env.GUESTMEMFS_UNIT !== undefined
let keeper: Keeper | undefined

/**
 * Less than the unit's TimeoutStopSec=: where the keeper does not end, it must still be running when the unit
 * has stopped.
 */
const SIGTERM_PATIENCE_MS = 8000
const LOOK_EVERY_MS = 20
let isEnding = false
/** This process has reported to the one that started it that the mount serves. */
let isReady = false

/**
 * Ends this process as soon as the server holds the pool, which may be only after that was started again: the
 * unit is not restarted while its keeper runs.
 */
async function endWithServer(): Promise<void> {
  if (isEnding) return
  isEnding = true
  const deadline = performance.now() + SIGTERM_PATIENCE_MS
  while (performance.now() < deadline) {
    if (isReady && keeper?.isDispensable) {
      log.event('SIGTERM: the server holds the pool until the unit starts again')
      process.exit(0)
    }
    await sleep(LOOK_EVERY_MS)
  }
  isEnding = false
  ignore('SIGTERM')
}

/** Ending would lose the guests' memory. Only `guestmemfs umount --discard` may do that. */
const ignore = (signal: string): void =>
  log.event(`${signal} ignored: this process holds the pool's memory; use 'guestmemfs umount'`)

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
  process.on(signal, () => (isUnit && signal === 'SIGTERM' ? void endWithServer() : ignore(signal)))

/**
 * This process alone holds the pool: it ends when the next mount has copied all of it, or `umount --discard`
 * kills it.
 */
const waitForever = (): void => void setInterval(() => {}, 2 ** 31 - 1)

/**
 * The former kernel handed over what cannot be used: the record names this process, so that
 * `umount --discard` finds it.
 */
function parkUnusable(): void {
  const self = identify(process.pid)
  if (self === undefined) return
  const { pool, source } = options
  const parked = { sizeBytes: 0, state: 'parked', mountPoint: null } as const
  recordPool({ pool, source, ...parked, keeper: self, server: null }, log)
}

// Keeper and server both hold guests' memory: the kernel refuses setOomScore for both or for neither.
const refused = setOomScore(process.pid, -1000)
if (refused)
  log.event(`the OOM killer may take keeper and server (${refused}): this process has no CAP_SYS_RESOURCE`)

try {
  keeper = await Keeper.make(options, log)
  if (options.kind === 'hold') keeper.park()
  else await keeper.start(options)
} catch (error) {
  const isForOperator = error instanceof UsageError
  if (isForOperator) log.note(error.message)
  else log.note('the pool could not be mounted', { error: error instanceof Error ? error.stack : error })
  sendReady({ ok: false, reason: errorText(error) })
  const holdsAlone = error instanceof UnusableHandoverError || keeper?.isIncoming === true
  if (!holdsAlone) {
    process.kill(process.pid, 'SIGKILL')
    throw error
  }
  if (keeper === undefined) parkUnusable()
  else keeper.park()
  waitForever()
  keeper = undefined
}

if (keeper !== undefined) {
  const { sizeBytes, isNew, isIncoming } = keeper
  sendReady({ ok: true, sizeBytes, isNew, isIncoming })
  isReady = true
  boundVmLogs()
  writeCompileCache()
  if (options.kind === 'mount' && (await keeper.run(options)) === 'ended') process.exit(0)
  waitForever()
}
