/**
 * Owns the conversation over one /dev/fuse descriptor: read a request, have it handled, write the reply, one at a time on
 * this thread, blocking. Must not know what a request does. Bytes that make no sense are answered and passed
 * over: nothing the kernel's side sends ends a server.
 */
import { Poller, waitReadable } from '../linux/descriptors.ts'
import { readRequest, writeReply } from '../linux/fuse-device.ts'
import { EIO, ENODEV, ENOENT, ENOSYS, EPERM, EPROTO, type Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { FUSE_NOTIFY_RESEND } from './constants.ts'
import { type Decoded, decode } from './decode.ts'
import { MAX_WRITE_BYTES, type Negotiated, negotiate } from './init.ts'
import { OUT_HEADER } from './kernel-structs.ts'
import { type FuseRequest, isAnswered, type RequestOf } from './opcodes.ts'
import { Reply } from './replies.ts'

/** What a handler gets: everything but INIT, which is the session's own. */
export type HandledRequest = Exclude<FuseRequest, RequestOf<'INIT'>>

/**
 * Does what `request` asks and fills `reply`. A request left unanswered here must be answered later through `send`;
 * those of `isAnswered` false get no reply at all. A throw ends `serve`, with the request unanswered.
 */
export type Handler = (request: HandledRequest, reply: Reply) => void

/** Handles a request that was left unanswered once more, and sends the reply if there is one now. */
export type Answer = (request: HandledRequest, handler: Handler) => void

export interface SessionOptions {
  /** Called before the reply to INIT is written, so that what was agreed on can be kept for a successor. */
  readonly negotiated?: (session: Negotiated) => void
  /** Which requests are to be handled now that `request` came, in order: it may be held back, with a copy of its data, or let others go first. */
  readonly admit?: (request: HandledRequest) => readonly HandledRequest[]
  /** Between the handler and the write of a filled reply. */
  readonly beforeReply?: (request: HandledRequest) => void
  /** `delivered` false: the kernel did not get this reply (aborted, answered before, or EIO went in its place). */
  readonly afterReply?: (request: HandledRequest, delivered: boolean) => void
  /**
   * Work that is tried again and again: `intervalMs` is asked before each read, and `run` called when so long went by since it
   * was first answered; a shorter one counts at once. Between requests, not only where there are none: a busy mount must not put
   * it off for ever.
   */
  readonly periodic?: { intervalMs(): number | undefined; run(answer: Answer): void }
  /** Small work that was put off until nobody asks for anything: `run` does some of it when nothing came for IDLE_MS. */
  readonly idle?: { isWorkLeft(): boolean; run(): void }
  /**
   * Work done beside the session: `run` is called when what `wake` names is readable; it names nothing while no work is under way. Here
   * and in periodic work requests that a handler left unanswered may be answered.
   */
  readonly background?: { wake(): Fd | undefined; run(answer: Answer): void }
  /** One line about something that should not happen. Called rarely, however often it happens. */
  readonly report?: (line: string) => void
}

/** Longer than the pauses of whoever does one operation after the other. */
const IDLE_MS = 2

/** The kernel wants room for the largest WRITE and its headers (fuse_dev_do_read, fs/fuse/dev.c). */
const READ_BUFFER_BYTES = MAX_WRITE_BYTES + 4096

/**
 * Serve until the connection is gone. Throws UsageError if the kernel cannot do what we need (its INIT was refused), and
 * whatever the handler throws. The connection stays open: its descriptor is the caller's.
 */
export function serve(fuseFd: Fd, handler: Handler, options: SessionOptions = {}): 'unmounted' {
  const buffer = Buffer.alloc(READ_BUFFER_BYTES)
  const reply = new Reply(MAX_WRITE_BYTES)
  const report = rarely(options.report ?? (() => {}))
  const { periodic, background, idle } = options
  const alone = new Poller([fuseFd])
  let both: { readonly wake: Fd; readonly poller: Poller } | undefined
  const pollerOf = (wake: Fd | undefined): Poller => {
    if (wake === undefined) return alone
    if (both?.wake !== wake) both = { wake, poller: new Poller([fuseFd, wake]) }
    return both.poller
  }
  const answer: Answer = (request, handle) => {
    reply.begin(request.header)
    handle(request, reply)
    if (!isAnswered(request.opcode) || !reply.isFilled) return
    options.beforeReply?.(request)
    const delivered = send(fuseFd, reply, report)
    options.afterReply?.(request, delivered)
  }
  /** When the periodic work is due; undefined while there is none. */
  let dueMs: number | undefined
  for (;;) {
    const intervalMs = periodic?.intervalMs()
    const nowMs = intervalMs === undefined ? 0 : performance.now()
    dueMs = intervalMs === undefined ? undefined : Math.min(dueMs ?? nowMs + intervalMs, nowMs + intervalMs)
    if (dueMs !== undefined && nowMs >= dueMs) {
      dueMs = undefined
      periodic?.run(answer)
      continue
    }
    const wake = background?.wake()
    const isIdleWorkLeft = idle?.isWorkLeft() ?? false
    if (dueMs !== undefined || wake !== undefined || isIdleWorkLeft) {
      const untilDueMs = dueMs === undefined ? -1 : dueMs - nowMs
      const timeoutMs = isIdleWorkLeft ? IDLE_MS : untilDueMs
      const poller = pollerOf(wake)
      const isAnyReady = poller.wait(timeoutMs)
      if (wake !== undefined && poller.isReady(wake)) background?.run(answer)
      else if (!isAnyReady && isIdleWorkLeft) idle?.run()
      if (!poller.isReady(fuseFd)) continue
    }
    const length = readRequest(fuseFd, buffer)
    if (length === 'gone') return 'unmounted'
    if (length === 'again') continue
    const request = decode(buffer, length)
    if (request.header !== undefined) reply.begin(request.header)
    switch (request.opcode) {
      case 'malformed':
        refuseMalformed(fuseFd, request, reply, report)
        break
      case 'unknown':
        reply.error(ENOSYS)
        send(fuseFd, reply, report)
        break
      case 'INIT':
        answerInit(fuseFd, request, reply, options)
        break
      default:
        for (const admitted of options.admit?.(request) ?? [request]) answer(admitted, handler)
    }
  }
}

/**
 * Write a filled reply. False: it did not arrive. Either nobody waits for it any more, or the kernel would not take it: that is
 * reported, and EIO is sent in its place, or its request would hang for ever.
 */
export function send(fuseFd: Fd, reply: Reply, report: (line: string) => void = () => {}): boolean {
  const errno = writeReply(fuseFd, reply.bytes)
  if (errno === undefined) return true
  // ENODEV, EPERM: the connection is gone, as the next read will say.
  if (errno === ENOENT || errno === ENODEV || errno === EPERM) return false
  report(`the kernel refused a reply of ${reply.bytes.byteLength} bytes: ${errno}`)
  reply.replaceByError(EIO)
  writeReply(fuseFd, reply.bytes)
  return false
}

/**
 * Ask the kernel to send again what was read from this connection and never answered; it comes marked `resent`, before
 * anything newer. For a successor's start. Errors: EINVAL (kernel before 6.9), ENODEV or EPERM (connection gone).
 */
export function resend(fuseFd: Fd): Errno | undefined {
  const bytes = new Uint8Array(OUT_HEADER.sizeBytes)
  OUT_HEADER.encode(new DataView(bytes.buffer), 0, {
    len: OUT_HEADER.sizeBytes,
    error: FUSE_NOTIFY_RESEND,
    unique: 0n,
  })
  return writeReply(fuseFd, bytes)
}

/** True when a request waits to be read, or the connection is gone. */
export function hasPending(fuseFd: Fd): boolean {
  return waitReadable(fuseFd, 0)
}

function answerInit(fuseFd: Fd, request: RequestOf<'INIT'>, reply: Reply, options: SessionOptions): void {
  const negotiation = negotiate(request)
  if ('refusal' in negotiation) {
    // The kernel marks the connection failed: whoever touches the mount gets ECONNREFUSED.
    reply.error(EPROTO)
    send(fuseFd, reply)
    throw new UsageError(negotiation.refusal)
  }
  options.negotiated?.(negotiation.session)
  reply.init(negotiation.initOut)
  send(fuseFd, reply)
}

function refuseMalformed(
  fuseFd: Fd,
  request: Extract<Decoded, { opcode: 'malformed' }>,
  reply: Reply,
  report: (line: string) => void,
): void {
  report(`a request made no sense: ${request.reason}`)
  if (!request.answered) return
  reply.error(EIO)
  send(fuseFd, reply, report)
}

/** The first ten lines, then those numbered by powers of two: what happens all the time must not fill a log. */
function rarely(report: (line: string) => void): (line: string) => void {
  let count = 0
  return (line) => {
    count++
    if (count <= 10) report(line)
    else if ((count & (count - 1)) === 0) report(`${line} (${count} such lines so far, most not shown)`)
  }
}
