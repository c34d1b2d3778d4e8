/**
 * A live update thread for tests that hangs in the kernel, as a real one may: each call opens a FIFO, `fifo`
 * of its environment, for reading, which returns when the test opens it for writing. Then it answers as if
 * the call had succeeded. Without a FIFO the thread ends in that call.
 */
import { closeSync, openSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { memfdCreate } from '../../../linux/memory.ts'
import type { LuoRequest, LuoResult } from '../thread.ts'

parentPort?.on('message', ({ id, call }: LuoRequest) => {
  const isHung = call.kind === process.env.GUESTMEMFS_TEST_HUNG_CALL
  const fifo = process.env.GUESTMEMFS_TEST_FIFO
  if (isHung && fifo === undefined) process.exit(7)
  if (isHung && fifo !== undefined) closeSync(openSync(fifo, 'r'))
  if (call.kind === 'close') closeSync(call.fd)
  const fd = call.kind === 'create' ? memfdCreate('session', { sealable: false }) : undefined
  parentPort?.postMessage({ id, fd } satisfies LuoResult)
})
