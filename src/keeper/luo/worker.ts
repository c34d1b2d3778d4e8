/**
 * The keeper's thread for live update calls, which it makes one after the other: preserving and retrieving
 * take time in proportion to the memory, and closing a session may, too. Descriptors belong to the process,
 * so they need not be sent.
 */
import { parentPort } from 'node:worker_threads'
import { close } from '../../linux/descriptors.ts'
import {
  createSession,
  finishSession,
  preserve,
  retrieve,
  retrieveSession,
  withLiveUpdate,
} from '../../linux/luo.ts'
import { Errno } from '../../values/errno.ts'
import type { Fd } from '../../values/ids.ts'
import type { LuoCall, LuoRequest, LuoResult } from './thread.ts'

/** One process at a time can open the device, and should hold it for a moment only. */
const BUSY_PATIENCE_MS = 5000

const onDevice = (work: (device: Fd) => Fd | Errno): Fd | Errno => withLiveUpdate(work, BUSY_PATIENCE_MS)

function makeCall(call: LuoCall): Fd | Errno | undefined {
  switch (call.kind) {
    case 'create':
      return onDevice((device) => createSession(device, call.name))
    case 'find':
      return onDevice((device) => retrieveSession(device, call.name))
    case 'preserve':
      return preserve(call.session, call.fd, call.token)
    case 'retrieve':
      return retrieve(call.session, call.token)
    case 'finish':
      return finishSession(call.session)
    case 'close':
      close(call.fd)
      return undefined
    default:
      return call satisfies never
  }
}

parentPort?.on('message', ({ id, call }: LuoRequest) => {
  const result = makeCall(call)
  const answer: LuoResult = result instanceof Errno ? { id, errnoCode: result.code } : { id, fd: result }
  parentPort?.postMessage(answer)
})
