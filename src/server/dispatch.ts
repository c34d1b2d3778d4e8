/**
 * The dispatch of one request. One that a former server has applied already is answered again; one that was
 * begun too often is answered EIO. For any other its operation runs. Where that returns a Wait, the deferred
 * evictions are carried out and the operation runs again at once; if it returns a Wait again, the request is
 * parked for `retryParked`. Must not: send. The session writes the reply.
 */
import type { Origin } from '../fs/state/entry.ts'
import { ANSWERED, type Answered, type Reply } from '../fuse/replies.ts'
import type { AnswerRequest, HandledRequest, Handler } from '../fuse/session.ts'
import { EINTR, EIO, EMFILE, ENOSPC, Errno } from '../values/errno.ts'
import { BrokenInvariantError } from '../values/errors.ts'
import { WAIT_FOR_ROOM, Wait } from '../values/refusal.ts'
import type { Context, Operations, Outcome } from './context.ts'
import { answerAgain } from './operations/answer-again.ts'
import { contentOperations } from './operations/content-requests.ts'
import { inodeOperations } from './operations/inode-requests.ts'
import { nameOperations } from './operations/name-requests.ts'
import { xattrOperations } from './operations/xattr-requests.ts'
import type { RuntimeArea } from './runtime-area.ts'
import { isApplied } from './successor.ts'

/** The operation of each request. Its type makes sure that none is missing. */
export const OPERATIONS: Operations = {
  ...nameOperations,
  ...inodeOperations,
  ...contentOperations,
  ...xattrOperations,
}

/**
 * A request at which three servers died is answered EIO by the fourth: one bad request must not end the
 * mount.
 */
const MAX_ATTEMPTS = 3

/**
 * How long a request waits for the kernel to forget unlinked files whose room it needs. Counted for each
 * request alone: the timer by which the server retries may have been started by an earlier request, or by
 * work of the store.
 */
const ROOM_MS = 20

export interface DispatcherParts {
  readonly context: Context
  readonly runtime: RuntimeArea
  /** The request that had changed the image last before this server opened it. */
  readonly applied: Origin | undefined
  readonly report: (line: string) => void
  readonly operations?: Operations
  readonly nowMs?: () => number
}

export class Dispatcher {
  readonly #context: Context
  readonly #runtime: RuntimeArea
  /**
   * Kept until it was answered. The kernel never sends this server again what this server applies, and the
   * image's own `lastOrigin` is another one as soon as it applies something.
   */
  #applied: Origin | undefined
  readonly #report: (line: string) => void
  readonly #operations: Operations
  readonly #nowMs: () => number
  /** Since when each parked request that waits for room has done so, by its id. */
  #roomSinceMs = new Map<bigint, number>()

  constructor(parts: DispatcherParts) {
    const { context, runtime, applied, report, operations = OPERATIONS } = parts
    const { nowMs = () => performance.now() } = parts
    this.#context = context
    this.#runtime = runtime
    this.#applied = applied
    this.#report = report
    this.#operations = operations
    this.#nowMs = nowMs
  }

  /** A request that the kernel sent. undefined: no reply now; it is parked, or has none. */
  handle(request: HandledRequest, reply: Reply): Answered | undefined {
    const { unique } = request.header
    if (isApplied(request, this.#applied, this.#runtime.epoch)) {
      this.#applied = undefined
      const outcome = answerAgain(this.#context, request, reply)
      checkFilled(request, outcome, reply)
      if (outcome !== undefined) return outcome === ANSWERED ? outcome : reply.error(outcome)
    }
    if (unique !== 0n && this.#runtime.beginRequest(unique) > MAX_ATTEMPTS) {
      this.#report(`${request.opcode} ${unique} ended ${MAX_ATTEMPTS} servers: answered EIO`)
      return reply.error(EIO)
    }
    return this.dispatch(request, reply)
  }

  /**
   * Runs the operation of `request`. `roomSinceMs`: since when it waits for room, if it does. undefined: no
   * reply now.
   */
  dispatch(request: HandledRequest, reply: Reply, roomSinceMs?: number): Answered | undefined {
    const { evictions, parked } = this.#context
    let outcome = this.#run(request, reply, roomSinceMs)
    if (outcome instanceof Wait && evictions.size > 0) {
      // The kernel has forgotten these inodes already: evicting them may free the memory that the operation
      // waits for.
      evictions.endAll()
      outcome = this.#run(request, reply, roomSinceMs)
    }
    if (outcome === WAIT_FOR_ROOM) this.#roomSinceMs.set(request.header.unique, roomSinceMs ?? this.#nowMs())
    if (outcome instanceof Wait) {
      parked.add(request)
      return undefined
    }
    return outcome instanceof Errno ? reply.error(outcome) : outcome
  }

  /** Dispatches each parked request again; `answer` sends the replies of those that are answered now. */
  retryParked(answer: AnswerRequest): void {
    const { parked } = this.#context
    const roomSinceMs = this.#roomSinceMs
    this.#roomSinceMs = new Map()
    const retry: Handler = (request, reply) =>
      this.dispatch(request, reply, roomSinceMs.get(request.header.unique))
    for (const request of parked.take())
      answer(request, parked.takeInterrupted(request) ? answerInterrupted : retry)
  }

  #run(request: HandledRequest, reply: Reply, roomSinceMs: number | undefined): Outcome | undefined {
    const operation = this.#operations[request.opcode] as AnyOperation
    const outcome = operation(this.#context, request as never, reply)
    checkFilled(request, outcome, reply)
    const isRefused = outcome === ENOSPC || outcome === EMFILE
    return isRefused && this.#isRoomToCome(roomSinceMs) ? WAIT_FOR_ROOM : outcome
  }

  /**
   * Whether orphans still own memory that the pool (or descriptors that the store) has no more of. The kernel
   * sends FORGET some time after unlink(2) has returned (fs/fuse/inode.c queues it), and a caller that
   * deletes a file to make room must find that room. So it must where the store searches all processes for
   * one that maps the file, which takes as long as it takes.
   */
  #isRoomToCome(roomSinceMs: number | undefined): boolean {
    const { fs, evictions } = this.#context
    if (fs.orphanCount === 0) return false
    if (roomSinceMs === undefined || evictions.size > 0 || fs.isSearching) return true
    return this.#nowMs() - roomSinceMs < ROOM_MS
  }
}

type AnyOperation = (context: Context, request: never, reply: Reply) => Outcome | undefined

const answerInterrupted: Handler = (_request, reply) => reply.error(EINTR)

/**
 * A refusal over a filled reply would have the wrong answer sent, ANSWERED over an empty one none at all:
 * that is a bug in the operation.
 */
function checkFilled({ opcode, header }: HandledRequest, outcome: Outcome | undefined, reply: Reply): void {
  if ((outcome === ANSWERED) === reply.isFilled) return
  throw new BrokenInvariantError(
    outcome === ANSWERED
      ? `${opcode} ${header.unique} was answered without a reply`
      : `${opcode} ${header.unique} has a reply, and came to ${outcome ?? 'nothing'}`,
  )
}
