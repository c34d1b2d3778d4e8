/**
 * Owns serving one connection: settling what a predecessor left, handling one request after another on one
 * thread, and retrying orphans every now and then. Nothing in here may touch the mount
 * (docs/deadlocks.md) or take longer than a request may wait.
 */
import type { FileSystem } from '../fs/file-system.ts'
import type { Image } from '../fs/image/image.ts'
import type { Reply } from '../fuse/replies.ts'
import { type Answer, type HandledRequest, type SessionOptions, serve } from '../fuse/session.ts'
import type { Store } from '../stores/store.ts'
import { EINTR, EIO } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { storeAlignment } from './gigantic-pages.ts'
import { KernelView } from './kernel-view.ts'
import { answerAgain } from './operations/answer-again.ts'
import { OPERATIONS } from './operations/table.ts'
import { ParkedRequests } from './parked-requests.ts'
import type { RuntimeArea } from './runtime-area.ts'
import { type Operation, Service } from './service.ts'
import { isApplied, Successor } from './successor.ts'
import { Zeroing } from './zeroing.ts'

/** A request at which three servers ended by themselves is answered EIO by the fourth: one bad request must not take the mount down. */
const MAX_ATTEMPTS = 3
/** How often memory that was held by a mapping is looked at again. */
const ORPHAN_RETRY_MS = 1000

/** How long memory that was given up may linger before the keeper hears of it, and a full pool before it is called one. */
const CATCH_UP_MS = 20

export interface Connection {
  readonly fs: FileSystem
  readonly image: Image
  readonly store: Store
  readonly runtime: RuntimeArea
  readonly fuse: Fd
  readonly report: (line: string) => void
  /** What pages the root is to ask for from now on; null: as it does. */
  readonly alignBytes: number | null
}

/** Returns when the connection is gone. */
export const serveConnection = (connection: Connection): void => {
  const { fs, image, store, runtime, fuse, report, alignBytes } = connection
  const kernel = new KernelView(runtime, fuse, (ino) => fs.inode(ino))
  const deferred = new ParkedRequests()
  const service = new Service({
    fs,
    store,
    kernel,
    epoch: () => runtime.epoch,
    interrupt: (unique) => void deferred.interrupt(unique),
  })
  const lastOrigin = image.lastOrigin
  // A new connection: no record was ever made in its name, so that a request id of a former one is never taken for its.
  const nextEpoch = (lastOrigin?.epoch ?? 0) + 1

  const successor = runtime.isEstablished ? new Successor(fuse, runtime) : undefined
  if (successor !== undefined) {
    kernel.closeLostBacking()
    kernel.settleOrphans(fs.orphans())
  }
  fs.recover(service.ownWork, (ino) => kernel.isReferenced(ino))

  let unsaid = alignBytes
  /** A pool that comes out of a live update is frozen: it is said once it is thawed. */
  const sayPages = (): void => {
    if (unsaid === null || fs.frozen) return
    storeAlignment(fs, service.ownWork, unsaid)
    unsaid = null
  }
  sayPages()

  const zeroing = new Zeroing(fs, store)

  const carryOut = (request: HandledRequest, reply: Reply): void => {
    const operation = OPERATIONS[request.opcode] as Operation<typeof request.opcode>
    operation(service, request as never, reply)
    if (service.isWaiting && service.evictions.size > 0) {
      // What a eviction was put off for need not be waited for.
      service.evictions.endAll()
      service.takeWaiting()
      operation(service, request as never, reply)
    }
    if (service.takeWaiting()) deferred.add(request)
    // A FORGET that freed memory, or who waits for some to be zeroed: `afterReply` is not called for these.
    if (!reply.isFilled) zeroing.advance(service.ownWork)
  }

  const handle = (request: HandledRequest, reply: Reply): void => {
    const { unique } = request.header
    if (isApplied(request, image.lastOrigin, runtime.epoch)) {
      answerAgain(service, request, reply)
    } else if (unique !== 0n && runtime.beginRequest(unique) > MAX_ATTEMPTS) {
      report(`${request.opcode} ${unique} ended ${MAX_ATTEMPTS} servers: answered EIO`)
      reply.error(EIO)
    } else {
      carryOut(request, reply)
    }
  }

  const askAgain = (answer: Answer): void => {
    for (const request of deferred.take()) {
      const isOver = deferred.takeInterrupted(request)
      answer(request, isOver ? (_request, reply) => reply.error(EINTR) : carryOut)
    }
  }

  const options: SessionOptions = {
    negotiated: (session) => runtime.establish(nextEpoch, session),
    ...(successor && { admit: (request) => successor.admit(request) }),
    beforeReply: ({ header }) => kernel.beforeReply(header.unique),
    afterReply: (_request, delivered) => {
      kernel.afterReply(delivered)
      service.evictions.endDue()
      sayPages()
      zeroing.advance(service.ownWork)
    },
    idle: {
      isWorkLeft: () => service.evictions.size > 0,
      run: () => {
        service.evictions.endSome()
        zeroing.advance(service.ownWork)
      },
    },
    periodic: {
      intervalMs: () => {
        if (store.pending?.isPending || deferred.size > 0) return CATCH_UP_MS
        return fs.orphanCount > 0 ? ORPHAN_RETRY_MS : undefined
      },
      run: (answer) => {
        store.pending?.flush()
        service.evictions.endSome()
        fs.retryOrphans(service.ownWork, (ino) => kernel.isReferenced(ino))
        zeroing.advance(service.ownWork)
        service.isLastTry = true
        askAgain(answer)
        service.isLastTry = false
      },
    },
    ...(store.events && {
      background: {
        wake: () => store.events?.fd,
        run: (answer) => {
          store.events?.drain()
          // First what sets memory free, then what zeroes it, then who waits for it.
          fs.retryOrphans(service.ownWork, (ino) => kernel.isReferenced(ino))
          zeroing.advance(service.ownWork)
          askAgain(answer)
        },
      },
    }),
    report,
  }

  zeroing.advance(service.ownWork)
  serve(fuse, handle, options)
  // Whether anything is left to hold is asked next.
  service.evictions.endAll()
}
