/**
 * A program inside the throw-away host: makes and fills plain memfds, preserves each in a session and prints,
 * as a line of JSON, how long the calls took. It does not end, as the session would end with it. Argument: as
 * of `parseMemfds`.
 */
import { readFileSync } from 'node:fs'
import { close } from '../../../src/linux/descriptors.ts'
import { createSession, preserve, withLiveUpdate } from '../../../src/linux/luo.ts'
import { memfdCreate, resize } from '../../../src/linux/memory.ts'
import { Errno } from '../../../src/values/errno.ts'
import type { Fd } from '../../../src/values/ids.ts'
import { fillPages, type Preserved, parseMemfds, SESSION } from './plain-memfds.ts'

const DAY_MS = 86_400_000

function newSession(name: string): Fd {
  const session = withLiveUpdate((device) => createSession(device, name))
  if (session instanceof Errno) throw new Error(`creating session ${name}: ${session}`)
  return session
}

function preserveMs(session: Fd, fd: Fd, token: number): number {
  const started = performance.now()
  const failed = preserve(session, fd, BigInt(token))
  const callMs = performance.now() - started
  if (failed !== undefined) throw new Error(`preserving memfd ${token}: ${failed}`)
  return callMs
}

const movedPages = (): number =>
  Number(/^pgmigrate_success (\d+)$/m.exec(readFileSync('/proc/vmstat', 'latin1'))?.[1] ?? 0)

const session = newSession(SESSION)
const timed = parseMemfds(process.argv[2] ?? '').map((memfd, token): Preserved => {
  const fd = memfdCreate(SESSION, { sealable: false })
  resize(fd, memfd.sizeMib * 2 ** 20)
  const pmdMappedBytes = fillPages(fd, memfd, token)
  const trial = newSession(`${SESSION}-${token}`)
  const before = movedPages()
  const callMs = preserveMs(trial, fd, token)
  const moved = movedPages() - before
  close(trial)
  return { ...memfd, callMs, pmdMappedBytes, movedPages: moved, againMs: preserveMs(session, fd, token) }
})
process.stdout.write(`${JSON.stringify(timed)}\n`)
setInterval(() => {}, DAY_MS)
