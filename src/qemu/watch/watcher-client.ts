/**
 * Requests to the one process that watches the guests of this host (`watcher.ts`), which is started where
 * none answers. Guests run without it: the next command does what it has not done.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fstatSync, statSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import * as v from 'valibot'
import { compileCacheEnvironment } from '../../linux/compile-cache.ts'
import { makeFolder, RUN, WATCHER, WATCHER_STARTING } from '../../run/paths.ts'
import { identifySelf } from '../../run/process-identity.ts'
import { liveQemu } from '../../run/vm-runtime.ts'
import { UsageError } from '../../values/errors.ts'
import type { Fd } from '../../values/ids.ts'
import { within } from '../../values/within.ts'
import { isInDevmem } from '../devmem-trust.ts'
import { ROOT_ENVIRONMENT } from '../identity.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { type Answer, AnswerSchema, type Request, readLines } from './watcher-messages.ts'

/** `watcher-main.ts` in the sources, `.js` in the built package. */
const MAIN = fileURLToPath(new URL(`watcher-main${import.meta.url.slice(-3)}`, import.meta.url))

/** A start of Node on a busy machine. */
const START_TIMEOUT_MS = 20_000
const ANSWER_TIMEOUT_MS = 3000
const LOOK_MS = 20
/**
 * After so long this starts another watcher: the first may have ended because a former one, which was ending,
 * had the lock.
 */
const START_AGAIN_MS = 5000

export interface GuestStart {
  readonly name: string
  readonly definition: VmDefinition
  /** Of a guest from power-on: the first connection to its QMP. */
  readonly first: Fd | undefined
}

/**
 * Called by the process that is about to become the VM's QEMU, before it maps RAM. It waits until the watcher
 * has taken the first connection, or for some seconds. A guest that is stopped waits for no other process:
 * the command that loads it calls `watchRunning` later. Errors (UsageError): a window of /dev/mem that no
 * process keeps until QEMU has mapped it.
 */
export async function watchStart({ name, definition, first }: GuestStart): Promise<void> {
  const claimed = isInDevmem(definition) ? definition.ramFiles.map(({ id, path }) => ({ id, path })) : []
  if (first === undefined && claimed.length === 0) return
  const hasAfter = definition.after !== undefined
  const times = { hasAfter, saidAtMs: Date.now() }
  const connection = first === undefined ? null : { fd: first, inode: fstatSync(first).ino }
  const request = { do: 'start', name, qemu: identifySelf(), ...times, first: connection, claimed } as const
  const answer = await requestAnswer(request, true)
  if (claimed.length === 0) return
  if (answer === undefined)
    throw new UsageError(`VM ${name}: no process keeps its window of /dev/mem until QEMU has mapped it`)
  if (answer.refused !== null) throw new UsageError(answer.refused)
}

/**
 * Has the watcher see the end of a guest that runs again. One that is being started is not told: once it
 * listens it looks for all QEMUs that run. After a kexec all guests of a host are here at once, and a process
 * for each of them would take the processors from those that have not gone on yet.
 */
export async function watchRunning({ name, after }: VmDefinition): Promise<void> {
  const qemu = liveQemu(name)
  if (qemu === undefined) return
  const times = { hasAfter: after !== undefined, saidAtMs: Date.now() }
  await notify({ do: 'start', name, qemu, ...times, first: null, claimed: [] })
}

/**
 * Sends a request whose answer is not needed, nor the request by a watcher that is being started. Does not
 * wait for one that must be started first.
 */
async function notify(request: Request): Promise<void> {
  const socket = await connected()
  if (socket !== undefined) await exchange(socket, request).finally(() => socket.destroy())
  else if (!isStarting()) await startWatcher(JSON.stringify(request))
}

/**
 * From now on, until the returned function is called, the watcher ends a successor of that VM where this
 * process dies.
 */
export async function watchUpdate(name: string): Promise<() => void> {
  const socket = await connectOrStart(true)
  if (socket === undefined) return () => {}
  await exchange(socket, { do: 'update', name })
  return () => void socket.destroy()
}

/** A guest whose QEMU has ended by itself is on record no longer than until this resolves. */
export async function settleEnds(): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS
  while (isStarting() && performance.now() < deadline) await sleep(LOOK_MS)
  await requestAnswer({ do: 'settle' }, false)
}

/** False for one that has died since. */
function isStarting(): boolean {
  const stat = statSync(WATCHER_STARTING, { throwIfNoEntry: false })
  return stat !== undefined && Date.now() - stat.mtimeMs < START_TIMEOUT_MS
}

/**
 * For a watcher that finds another one there. False: the other one is just ending or starting, or is stopped.
 */
export async function forward(request: Request): Promise<boolean> {
  if ((await requestAnswer(request, false)) !== undefined) return true
  await sleep(LOOK_MS)
  return false
}

async function requestAnswer(request: Request, starts: boolean): Promise<Answer | undefined> {
  const socket = await connectOrStart(starts)
  try {
    return socket && (await exchange(socket, request))
  } finally {
    socket?.destroy()
  }
}

/** undefined: it does not answer. */
async function exchange(socket: Socket, request: Request): Promise<Answer | undefined> {
  const answer = new Promise<Answer | undefined>((resolve) => {
    readLines(socket, (line) => resolve(answerOf(line)))
    socket.once('close', () => resolve(undefined))
  })
  socket.write(`${JSON.stringify(request)}\n`)
  const first = await within(answer, ANSWER_TIMEOUT_MS)
  return typeof first === 'symbol' ? undefined : first
}

function answerOf(line: string): Answer | undefined {
  try {
    return v.parse(AnswerSchema, JSON.parse(line))
  } catch {
    return undefined // no peer of ours
  }
}

/** undefined: there is none, and none could be started. */
async function connectOrStart(starts: boolean): Promise<Socket | undefined> {
  const deadline = performance.now() + START_TIMEOUT_MS
  let startedAt = Number.NEGATIVE_INFINITY
  for (;;) {
    const socket = await connected()
    if (socket !== undefined) return socket
    if (!starts || performance.now() > deadline || makeFolder(RUN) !== undefined) return undefined
    if (performance.now() - startedAt > START_AGAIN_MS) {
      startedAt = performance.now()
      if (!(await startWatcher())) return undefined
    }
    await sleep(LOOK_MS)
  }
}

async function connected(): Promise<Socket | undefined> {
  const socket = connect(WATCHER)
  return await new Promise((resolve) => {
    socket.once('connect', () => resolve(socket))
    socket.on('error', () => resolve(undefined))
  })
}

/**
 * By a shell that ends at once, so that it is no child of this process, which becomes a QEMU that would never
 * wait for it. False: it could not be started.
 */
async function startWatcher(request?: string): Promise<boolean> {
  const words = [process.execPath, ...process.execArgv, MAIN, ...(request === undefined ? [] : [request])]
  try {
    writeFileSync(WATCHER_STARTING, '', { mode: 0o600 })
  } catch {
    // /run is full: only `settleEnds` looks there.
  }
  const shell = spawn('/bin/sh', ['-c', '"$@" &', 'sh', ...words], {
    cwd: '/',
    env: { ...ROOT_ENVIRONMENT, NODE_COMPILE_CACHE: compileCacheEnvironment().NODE_COMPILE_CACHE },
    detached: true,
    stdio: 'ignore',
  })
  try {
    const [status] = await once(shell, 'exit')
    return status === 0
  } catch {
    return false
  }
}
