/**
 * What a server that takes over a living connection must find out before it serves: whether the former
 * server's last reply arrived. The kernel is asked to send again what was never answered; that comes, in any
 * order, before anything newer. So the question is open until the request in question came again (the reply
 * was lost), or a new one did, or nothing is left to be read (it arrived). Until then everything waits,
 * FORGETs above all: the counts they lower are the ones in question.
 */
import type { Origin } from '../fs/state/entry.ts'
import type { HandledRequest } from '../fuse/session.ts'
import { hasPending, resend } from '../fuse/session.ts'
import { SystemCallError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { ParkedRequests } from './parked-requests.ts'
import type { RuntimeArea } from './runtime-area.ts'

export class Successor {
  readonly #fuse: Fd
  readonly #runtime: RuntimeArea
  #isSettled = false
  readonly #parked = new ParkedRequests()

  constructor(fuse: Fd, runtime: RuntimeArea) {
    this.#fuse = fuse
    this.#runtime = runtime
    const failed = resend(fuse)
    // ENODEV: unmounted meanwhile, as the first read will say.
    if (failed !== undefined && failed.name !== 'ENODEV' && failed.name !== 'EPERM')
      throw new SystemCallError('FUSE_NOTIFY_RESEND', failed)
    if (runtime.pending === undefined || !hasPending(fuse)) this.#settle('arrived')
  }

  /** Requests that can be handled now, in order; none while the question is open. */
  admit(request: HandledRequest): readonly HandledRequest[] {
    if (this.#isSettled) return [request]
    const { resent, unique } = request.header
    if (resent && unique === this.#runtime.pending) this.#settle('lost')
    else if (!resent && !isForget(request)) this.#settle('arrived')
    else if (!hasPending(this.#fuse)) this.#settle('arrived')
    if (this.#isSettled) return [...this.#parked.take(), request]
    this.#parked.add(request)
    return []
  }

  #settle(reply: 'lost' | 'arrived'): void {
    if (reply === 'lost') this.#runtime.dropPending()
    else this.#runtime.applyPending()
    this.#isSettled = true
  }
}

const isForget = ({ opcode }: HandledRequest): boolean =>
  opcode === 'FORGET' || opcode === 'BATCH_FORGET' || opcode === 'INTERRUPT'

/**
 * True when `request` is the last one that changed anything (`Image.lastOrigin`): it was applied, and only
 * its reply is missing.
 */
export const isApplied = (request: HandledRequest, last: Origin | undefined, epoch: number): boolean =>
  request.header.resent && last !== undefined && last.epoch === epoch && last.unique === request.header.unique
