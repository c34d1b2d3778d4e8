/**
 * A program in the next kernel: retrieves the memfds of preserve.ts, checks each page, and prints as JSON how
 * long each call took. Argument: the same as of preserve.ts.
 */
import { finishSession, retrieve, retrieveSession, withLiveUpdate } from '../../../src/linux/luo.ts'
import { Errno } from '../../../src/values/errno.ts'
import { checkPages, parseMemfds, type Retrieved, SESSION } from './plain-memfds.ts'

const session = withLiveUpdate((device) => retrieveSession(device, SESSION))
if (session instanceof Errno) throw new Error(`retrieving the session: ${session}`)
const timed = parseMemfds(process.argv[2] ?? '').map((memfd, token): Retrieved => {
  const started = performance.now()
  const fd = retrieve(session, BigInt(token))
  const callMs = performance.now() - started
  if (fd instanceof Errno) throw new Error(`retrieving memfd ${token}: ${fd}`)
  return { ...memfd, callMs, pmdMappedBytes: checkPages(fd, memfd, token) }
})
const failed = finishSession(session)
if (failed !== undefined) throw new Error(`finishing the session: ${failed}`)
process.stdout.write(JSON.stringify(timed))
