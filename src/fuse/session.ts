/**
 * The session over one /dev/fuse descriptor: reads a request, passes it to its handler, writes the reply, one
 * at a time on this thread, blocking. It answers malformed bytes with an error and goes on: nothing that the
 * kernel sends ends a server. Must not: handle a request itself.
 */
import { Poller, waitReadable } from '../linux/descriptors.ts'
import { readRequest, writeReply } from '../linux/fuse-device.ts'
import { EIO, ENODEV, ENOENT, ENOSYS, EPERM, EPROTO, type Errno } from '../values/errno.ts'
import { UsageError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { BriefPolling } from './brief-polling.ts'
import { FUSE_NOTIFY_RESEND } from './constants.ts'
import { type Decoded, decode } from './decode.ts'
import { MAX_WRITE_BYTES, type Negotiated, negotiate } from './init.ts'
import { OUT_HEADER } from './kernel-structs.ts'
import { type FuseRequest, isAnswered, type RequestHeader, type RequestOf } from './opcodes.ts'
import { ANSWERED, type Answered, Reply } from './replies.ts'

/** What a handler gets: everything but INIT, which the session answers itself. */
export type HandledRequest = Exclude<FuseRequest, RequestOf<'INIT'>>

/**
 * Does what `request` asks, fills `reply`, and returns what filled it. undefined: no reply now. FORGET,
 * BATCH_FORGET and INTERRUPT never get one; any other request is answered later, through an `AnswerRequest`.
 * A throw ends `serve`, with the request unanswered.
 */
export type Handler = (request: HandledRequest, reply: Reply) => Answered | undefined

/** Handles a request that was left unanswered once more, and sends the reply if there is one now. */
export type AnswerRequest = (request: HandledRequest, handler: Handler) => void

/**
 * The program that a session serves the connection for: it handles requests, and has work of its own between
 * them.
 */
export interface SessionHost {
  readonly handle: Handler
  /**
   * Called before the session writes the reply to INIT, so that the host can store the outcome for a
   * successor.
   */
  negotiated?(session: Negotiated): void
  /**
   * The requests to handle after `request` was read, in order. The host may keep it back, with a copy of its
   * data, or put others before it.
   */
  admit?(request: HandledRequest): readonly HandledRequest[]
  /**
   * The requests to handle after one that the session has answered itself: `unknown` or `malformed`.
   * `header`: of that one; undefined where its bytes have none.
   */
  afterRefusal?(header: RequestHeader | undefined): readonly HandledRequest[]
  /** Between the handler and the write of a filled reply. */
  beforeReply?(request: HandledRequest): void
  /**
   * `delivered` false: the kernel did not get this reply (aborted, answered before, or EIO went in its
   * place).
   */
  afterReply?(request: HandledRequest, delivered: boolean): void
  /** After FORGET, BATCH_FORGET, INTERRUPT, or a request that was parked. */
  afterNoReply?(request: HandledRequest): void
  /**
   * The interval of `onTimer`, asked for before each read: the session calls `onTimer` when that time has
   * passed since an interval was first returned; a shorter one counts at once. It does so between requests,
   * too: a busy mount must not put it off without an end. undefined: there is nothing to do.
   */
  timerMs?(): number | undefined
  /** Parked requests may be answered. */
  onTimer?(answer: AnswerRequest): void
  /** Whether `whenIdle` has something to do. */
  hasIdleWork?(): boolean
  /** Deferred work; called when no request arrived for IDLE_MS. */
  whenIdle?(): void
  /** One small piece of it, called while the next request is on its way. */
  betweenRequests?(): void
  /** Readable when work beside the session has finished; undefined: none is under way. */
  eventsFd?(): Fd | undefined
  /**
   * Readable when something happened on this machine that the host must know, whether or not anything is
   * under way; undefined: it follows nothing now. Asked for before each wait.
   */
  noticesFd?(): Fd | undefined
  /** `noticesFd` is readable. No request can be answered for it. */
  onNotices?(): void
  /** `eventsFd` is readable. Parked requests may be answered. */
  onEvents?(answer: AnswerRequest): void
  /** Logs one line about something that should not happen. Called rarely, however often that happens. */
  report?(line: string): void
}

/** Longer than the pauses of a process that does one operation after the other. */
const IDLE_MS = 2

/** The kernel requires room for the largest WRITE and its headers (fuse_dev_do_read, fs/fuse/dev.c). */
const READ_BUFFER_BYTES = MAX_WRITE_BYTES + 4096

/**
 * Serves until the connection is gone. Throws UsageError if the kernel lacks a required feature (its INIT was
 * refused), and whatever the host throws. The connection stays open: its descriptor is the caller's.
 */
export function serve(fuseFd: Fd, host: SessionHost): 'unmounted' {
  const buffer = Buffer.alloc(READ_BUFFER_BYTES)
  const reply = new Reply(MAX_WRITE_BYTES)
  const report = rarely((line) => host.report?.(line))
  const alone = new Poller([fuseFd])
  const brief = new BriefPolling(
    () => alone.wait(0),
    () => host.betweenRequests?.(),
  )
  let several: { readonly of: string; readonly poller: Poller } | undefined
  const pollerOf = (further: readonly Fd[]): Poller => {
    if (further.length === 0) return alone
    const of = further.join()
    if (several?.of !== of) several = { of, poller: new Poller([fuseFd, ...further]) }
    return several.poller
  }
  const answer: AnswerRequest = (request, handle) => {
    reply.begin(request.header)
    if (handle(request, reply) !== ANSWERED || !isAnswered(request.opcode)) {
      host.afterNoReply?.(request)
      return
    }
    host.beforeReply?.(request)
    const delivered = send(fuseFd, reply, report)
    host.afterReply?.(request, delivered)
  }
  const answerAll = (requests: readonly HandledRequest[] = []): void => {
    for (const request of requests) answer(request, host.handle)
  }
  /** When `onTimer` is due; undefined while there is nothing to do. */
  let dueMs: number | undefined
  for (;;) {
    const intervalMs = host.timerMs?.()
    const nowMs = intervalMs === undefined ? 0 : performance.now()
    dueMs = intervalMs === undefined ? undefined : Math.min(dueMs ?? nowMs + intervalMs, nowMs + intervalMs)
    if (dueMs !== undefined && nowMs >= dueMs) {
      dueMs = undefined
      host.onTimer?.(answer)
      continue
    }
    const events = host.eventsFd?.()
    const notices = host.noticesFd?.()
    const further = [events, notices].filter((fd) => fd !== undefined)
    const hasIdleWork = host.hasIdleWork?.() ?? false
    const isHere = events === undefined && brief.poll()
    if (!isHere && (dueMs !== undefined || further.length > 0 || hasIdleWork)) {
      const untilDueMs = dueMs === undefined ? -1 : dueMs - nowMs
      const poller = pollerOf(further)
      const isAnyReady = poller.wait(hasIdleWork ? IDLE_MS : untilDueMs)
      if (notices !== undefined && poller.isReady(notices)) host.onNotices?.()
      if (events !== undefined && poller.isReady(events)) host.onEvents?.(answer)
      else if (!isAnyReady && hasIdleWork) host.whenIdle?.()
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
        answerAll(host.afterRefusal?.(request.header))
        break
      case 'unknown':
        reply.error(ENOSYS)
        send(fuseFd, reply, report)
        answerAll(host.afterRefusal?.(request.header))
        break
      case 'INIT':
        answerInit(fuseFd, request, reply, host)
        break
      default:
        answerAll(host.admit?.(request) ?? [request])
    }
  }
}

/**
 * Writes a filled reply. False: it did not arrive. Either no caller waits for it any more, or the kernel
 * refused it: then this reports it and sends EIO in its place, or the request would never be answered.
 */
export function send(fuseFd: Fd, reply: Reply, report: (line: string) => void = () => {}): boolean {
  const errno = writeReply(fuseFd, reply.bytes)
  if (errno === undefined) return true
  // ENODEV, EPERM: the connection is gone, as the next read will show.
  if (errno === ENOENT || errno === ENODEV || errno === EPERM) return false
  report(`the kernel refused a reply of ${reply.bytes.byteLength} bytes: ${errno}`)
  reply.replaceByError(EIO)
  writeReply(fuseFd, reply.bytes)
  return false
}

/**
 * Asks the kernel to send again what was read from this connection and never answered; the kernel marks it
 * `resent`, and sends it before anything newer. For the next server's start. Errors: EINVAL (kernel before
 * 6.9), ENODEV or EPERM (connection gone).
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

function answerInit(fuseFd: Fd, request: RequestOf<'INIT'>, reply: Reply, host: SessionHost): void {
  const negotiation = negotiate(request)
  if ('refusal' in negotiation) {
    // The kernel marks the connection failed: each access to the mount gets ECONNREFUSED.
    reply.error(EPROTO)
    send(fuseFd, reply)
    throw new UsageError(negotiation.refusal)
  }
  host.negotiated?.(negotiation.session)
  reply.init(negotiation.initOut)
  send(fuseFd, reply)
}

function refuseMalformed(
  fuseFd: Fd,
  request: Extract<Decoded, { opcode: 'malformed' }>,
  reply: Reply,
  report: (line: string) => void,
): void {
  report(`a request was malformed: ${request.reason}`)
  if (!request.answered) return
  reply.error(EIO)
  send(fuseFd, reply, report)
}

/**
 * The first ten lines, then those numbered by powers of two: an error that recurs all the time must not fill
 * the log.
 */
function rarely(report: (line: string) => void): (line: string) => void {
  let count = 0
  return (line) => {
    count++
    if (count <= 10) report(line)
    else if ((count & (count - 1)) === 0) report(`${line} (${count} such lines so far, most not shown)`)
  }
}
