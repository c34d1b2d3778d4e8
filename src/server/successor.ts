/**
 * What a server that takes over a connection must find out before it serves. Two replies of the former server
 * may have been lost: the one that carries lookup counts (`RuntimeArea.pending`), and the one to the last
 * request that changed anything (`Image.lastOrigin`). The server asks the kernel to send again what was never
 * answered; the kernel sends that, in any order, before anything newer. So each question is open until the
 * request in question came again (its reply was lost), or a new one came, or nothing is left to be read (the
 * reply arrived).
 *
 * Until then all requests wait: FORGETs because the counts that they lower are the ones in question, all
 * others because the request that was applied must be answered first: its answer is read from the state, and
 * any other request may change the state. And a server that died after it had applied another request would
 * leave the image with that one's origin, and no record that the first was applied.
 */
import type { Origin } from '../fs/state/entry.ts'
import type { RequestHeader } from '../fuse/opcodes.ts'
import type { HandledRequest } from '../fuse/session.ts'
import { hasPending, resend } from '../fuse/session.ts'
import { SystemCallError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { ParkedRequests } from './parked-requests.ts'
import type { RuntimeArea } from './runtime-area.ts'

/** The kernel's side of the connection; tests have one of their own. */
export interface ResendPort {
  resend(): void
  /** Whether a request can be read now. */
  hasPending(): boolean
}

export class Successor {
  readonly #port: ResendPort
  readonly #runtime: RuntimeArea
  /** The request that was applied last: answered, or about to come again. */
  readonly #applied: bigint | undefined
  /** The requests that the kernel may still send again. */
  readonly #open: Set<bigint>
  readonly #parked = new ParkedRequests()

  /** `lastOrigin`: the image's, as it was when this server opened it. */
  constructor(port: ResendPort, runtime: RuntimeArea, lastOrigin: Origin | undefined) {
    this.#port = port
    this.#runtime = runtime
    this.#applied = lastOrigin?.epoch === runtime.epoch ? lastOrigin.unique : undefined
    const asked = [runtime.pending, this.#applied].filter((unique) => unique !== undefined)
    this.#open = new Set(asked)
    port.resend()
    if (!port.hasPending()) this.#conclude()
  }

  /** Requests that can be handled now, in order; none while a question is open. */
  admit(request: HandledRequest): readonly HandledRequest[] {
    if (this.#open.size === 0) return [request]
    this.#noteResent(request.header)
    if ((!request.header.resent && !needsNoAnswer(request)) || !this.#port.hasPending()) this.#conclude()
    if (this.#open.size > 0) {
      this.#parked.add(request)
      return []
    }
    return this.#inOrder([...this.#parked.take(), request])
  }

  /**
   * The requests that waited and can be handled now, after the session has answered one of an unknown opcode,
   * or one that it cannot read, with `header`. That one may have been the last for a long time: none of them
   * may wait for another.
   */
  afterRefusal(header: RequestHeader | undefined): readonly HandledRequest[] {
    if (this.#open.size === 0) return []
    if (header !== undefined) this.#noteResent(header)
    if (!this.#port.hasPending()) this.#conclude()
    return this.#open.size > 0 ? [] : this.#inOrder(this.#parked.take())
  }

  /** The request that was applied comes before all others. */
  #inOrder(requests: readonly HandledRequest[]): readonly HandledRequest[] {
    const isApplied = ({ header }: HandledRequest) => header.resent && header.unique === this.#applied
    return [...requests.filter(isApplied), ...requests.filter((each) => !isApplied(each))]
  }

  /** The reply to one of `#open` was lost where the kernel has sent that request again. */
  #noteResent({ resent, unique }: RequestHeader): void {
    if (!resent || !this.#open.has(unique)) return
    if (unique === this.#runtime.pending) this.#runtime.dropPending()
    this.#open.delete(unique)
  }

  /** The replies to requests that did not come again have arrived. */
  #conclude(): void {
    this.#runtime.applyPending()
    this.#open.clear()
  }
}

/** Errors of `resend`: SystemCallError. */
export const resendPort = (fuse: Fd): ResendPort => ({
  resend: () => {
    const failed = resend(fuse)
    // ENODEV: unmounted meanwhile, as the first read will show.
    if (failed !== undefined && failed.name !== 'ENODEV' && failed.name !== 'EPERM')
      throw new SystemCallError('FUSE_NOTIFY_RESEND', failed)
  },
  hasPending: () => hasPending(fuse),
})

const needsNoAnswer = ({ opcode }: HandledRequest): boolean =>
  opcode === 'FORGET' || opcode === 'BATCH_FORGET' || opcode === 'INTERRUPT'

/**
 * True when `request` was the last one that had changed anything when this server took over: it was applied,
 * and only its reply is missing.
 */
export const isApplied = (request: HandledRequest, last: Origin | undefined, epoch: number): boolean =>
  request.header.resent && last !== undefined && last.epoch === epoch && last.unique === request.header.unique
