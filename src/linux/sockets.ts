/**
 * Messages with descriptors (SCM_RIGHTS): between guestmemfs processes, over Unix sequenced-packet pairs, and
 * to the service manager. A descriptor in a queued message outlives its sender, which is why descriptors are
 * sent this way. Layouts: struct msghdr, iovec, cmsghdr of 64-bit Linux (include/linux/socket.h).
 */
import { EAGAIN, ECONNRESET, EINTR, EMFILE, EMSGSIZE, ENAMETOOLONG, type Errno } from '../values/errno.ts'
import { BrokenInvariantError, SystemCallError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { close, waitWritable } from './descriptors.ts'
import { addressOf, lastErrno, libcCall, must, untilReadable } from './library.ts'

const socketpair = libcCall('socketpair', 'int', ['int', 'int', 'int', 'void *'])
const sendmsg = libcCall('sendmsg', 'int64_t', ['int', 'void *', 'int'])
const recvmsg = libcCall('recvmsg', 'int64_t', ['int', 'void *', 'int'])
const socket = libcCall('socket', 'int', ['int', 'int', 'int'])
const connect = libcCall('connect', 'int', ['int', 'void *', 'uint'])
const shutdown = libcCall('shutdown', 'int', ['int', 'int'])
const getsockopt = libcCall('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *'])

export const AF_UNIX = 1
/** `sun_path` of struct sockaddr_un, its end among them. */
export const SUN_PATH_BYTES = 108
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_SEQPACKET = 5
const SOCK_CLOEXEC = 0o2000000
const SOCK_NONBLOCK = 0o4000
const SOL_SOCKET = 1
const SO_PEERCRED = 17
const SCM_RIGHTS = 1
const SCM_CREDENTIALS = 2
const MSG_CTRUNC = 0x8
const MSG_TRUNC = 0x20
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const MSG_CMSG_CLOEXEC = 0x40000000
const SHUT_RDWR = 2

/** Descriptors in one message. The kernel's own limit is 253 (SCM_MAX_FD). */
export const MAX_DESCRIPTORS = 64

const CMSG_HEADER_BYTES = 16
/** struct ucred: pid, uid, gid. */
const CREDENTIALS_BYTES = 12
const CONTROL_BYTES = CMSG_HEADER_BYTES + MAX_DESCRIPTORS * 4

export interface Message {
  readonly bytes: Uint8Array
  /** Close-on-exec; the receiver of the message owns them and closes them. */
  readonly descriptors: readonly Fd[]
}

/** Two connected ends; message boundaries are kept, both ends close-on-exec. */
export function socketPair(): [Fd, Fd] {
  const ends = new Int32Array(2)
  // SAFETY: socketpair writes two ints.
  must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 'socketpair')
  return [ends[0] as Fd, ends[1] as Fd]
}

/**
 * Sends one message, and blocks while the peer has net.unix.max_dgram_qlen (10 by default) unread. `bytes`
 * must not be empty (an empty message reads as the end). When it returns, message and descriptors are queued
 * and survive this process. Throws SystemCallError: EPIPE (peer gone), EMSGSIZE (about 200 KiB),
 * ETOOMANYREFS.
 */
export function sendMessage(fd: Fd, bytes: Uint8Array, descriptors: readonly Fd[] = []): void {
  const envelope = envelopeOf(bytes, descriptors)
  for (;;) {
    const errno = send(fd, envelope, MSG_NOSIGNAL)
    if (errno === undefined) return
    // A full queue: waiting for readiness has made the socket non-blocking, and the peer must read first.
    if (errno === EAGAIN) waitWritable(fd)
    else if (errno !== EINTR) throw new SystemCallError(`sendmsg fd ${fd}`, errno)
  }
}

/**
 * As `sendMessage`, but never waits. Errors: EAGAIN (the peer's queue is full), ECONNREFUSED (no process
 * listens), and sendMessage's.
 */
export function sendMessageNow(
  fd: Fd,
  bytes: Uint8Array,
  descriptors: readonly Fd[] = [],
): Errno | undefined {
  const envelope = envelopeOf(bytes, descriptors)
  for (;;) {
    const errno = send(fd, envelope, MSG_NOSIGNAL | MSG_DONTWAIT)
    if (errno !== EINTR) return errno
  }
}

/** The credentials of the sender, as the kernel passes them to the receiver. */
export interface Sender {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

/**
 * As `sendMessageNow`, in the name of another process, which takes CAP_SYS_ADMIN (SCM_CREDENTIALS, unix(7)).
 * Errors: EPERM, ESRCH besides.
 */
export function sendAs(fd: Fd, bytes: Uint8Array, sender: Sender): Errno | undefined {
  const envelope = new Envelope(bytes, CMSG_HEADER_BYTES + CREDENTIALS_BYTES)
  envelope.putCredentials(sender)
  for (;;) {
    const errno = send(fd, envelope, MSG_NOSIGNAL | MSG_DONTWAIT)
    if (errno !== EINTR) return errno
  }
}

function envelopeOf(bytes: Uint8Array, descriptors: readonly Fd[]): Envelope {
  if (bytes.byteLength === 0 || descriptors.length > MAX_DESCRIPTORS) {
    throw new BrokenInvariantError(
      `sendMessage: ${bytes.byteLength} bytes, ${descriptors.length} descriptors`,
    )
  }
  const controlBytes = descriptors.length === 0 ? 0 : CMSG_HEADER_BYTES + descriptors.length * 4
  const envelope = new Envelope(bytes, controlBytes)
  if (controlBytes > 0) envelope.putDescriptors(descriptors)
  return envelope
}

function send(fd: Fd, envelope: Envelope, flags: number): Errno | undefined {
  // SAFETY: the envelope points at itself and at its bytes; both are reachable until sendmsg has returned.
  return sendmsg(fd, envelope.header, flags) >= 0 ? undefined : lastErrno()
}

/**
 * A close-on-exec datagram socket connected to `address`: a path, or the name of an abstract socket after '@'
 * (unix(7)). Errors: ENAMETOOLONG, ENOENT, ECONNREFUSED, EACCES.
 */
export const connectDatagram = (address: string): Fd | Errno => connectTo(address, SOCK_DGRAM)

/**
 * As `connectDatagram`, a stream that does not block. Errors: EAGAIN besides, where the listener's queue is
 * full.
 */
export const connectStream = (address: string): Fd | Errno => connectTo(address, SOCK_STREAM | SOCK_NONBLOCK)

function connectTo(address: string, type: number): Fd | Errno {
  const name = Buffer.from(address)
  if (name.length >= SUN_PATH_BYTES) return ENAMETOOLONG
  const isAbstract = address.startsWith('@')
  if (isAbstract) name[0] = 0
  // A path ends with a zero byte; the length of an abstract name is that of the address.
  const sockaddr = Buffer.alloc(2 + name.length + (isAbstract ? 0 : 1))
  sockaddr.writeUInt16LE(AF_UNIX, 0)
  name.copy(sockaddr, 2)
  const fd = must(socket(AF_UNIX, type | SOCK_CLOEXEC, 0), 'socket AF_UNIX') as Fd
  // SAFETY: connect reads sockaddr.length bytes of a struct sockaddr_un.
  if (connect(fd, sockaddr, sockaddr.length) === 0) return fd
  const errno = lastErrno()
  close(fd)
  return errno
}

/**
 * The process that made the socket listen to which this stream is connected (SO_PEERCRED, unix(7)). 0: it is
 * in another pid namespace.
 */
export function listenerOf(fd: Fd): number {
  const credentials = new Int32Array(CREDENTIALS_BYTES / 4)
  const lengthBytes = Uint32Array.of(CREDENTIALS_BYTES)
  // SAFETY: getsockopt writes at most CREDENTIALS_BYTES, a struct ucred, and its length.
  must(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, lengthBytes), `SO_PEERCRED fd ${fd}`)
  return credentials[0] as number
}

/**
 * The next message if one is queued: undefined if none, 'ended' if the peer is gone and everything was read.
 * Throws SystemCallError: EMSGSIZE if it had more than `maxBytes`, EMFILE if descriptors were lost (this
 * process's limit is reached).
 */
export function receiveMessageNow(fd: Fd, maxBytes = 65536): Message | 'ended' | undefined {
  const bytes = new Uint8Array(maxBytes)
  const envelope = new Envelope(bytes, CONTROL_BYTES)
  for (;;) {
    // SAFETY: recvmsg writes at most maxBytes and CONTROL_BYTES into buffers the envelope points at,
    // reachable until it has returned.
    const received = recvmsg(fd, envelope.header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
    if (received >= 0) return received === 0 ? 'ended' : checked(fd, envelope, bytes.subarray(0, received))
    const errno = lastErrno()
    if (errno === EAGAIN) return undefined
    // Once, where the peer ended with messages unread, and before what is queued here (unix_release_sock,
    // net/unix/af_unix.c; __skb_try_recv_datagram, net/core/datagram.c).
    if (errno !== EINTR && errno !== ECONNRESET) throw new SystemCallError(`recvmsg fd ${fd}`, errno)
  }
}

/**
 * The next message, undefined at the end. Waits in the event loop rather than on a thread (a blocked recvmsg
 * would hold one of libuv's four), so one reader at a time per descriptor; `shutdownSocket` ends the wait.
 * Rejects as `receiveMessageNow` throws.
 */
export async function receiveMessage(fd: Fd, maxBytes = 65536): Promise<Message | undefined> {
  for (;;) {
    const message = receiveMessageNow(fd, maxBytes)
    if (message === 'ended') return undefined
    if (message !== undefined) return message
    await untilReadable(fd).readable
  }
}

/**
 * Ends both directions for every process that holds the socket; the peer reads what is queued, then the end.
 */
export function shutdownSocket(fd: Fd): void {
  must(shutdown(fd, SHUT_RDWR), `shutdown fd ${fd}`)
}

function checked(fd: Fd, envelope: Envelope, bytes: Uint8Array): Message {
  const descriptors = envelope.takeDescriptors()
  const cut = envelope.flags & (MSG_TRUNC | MSG_CTRUNC)
  if (cut === 0) return { bytes, descriptors }
  for (const descriptor of descriptors) close(descriptor)
  throw new SystemCallError(`recvmsg fd ${fd}, message cut off`, cut & MSG_TRUNC ? EMSGSIZE : EMFILE)
}

/**
 * A struct msghdr with one iovec and its control buffer, in one piece of memory: 56 + 8 (gap) + 16 bytes,
 * then control.
 */
class Envelope {
  readonly header: Uint8Array
  private readonly view: DataView
  private readonly bytes: Uint8Array

  constructor(bytes: Uint8Array, controlBytes: number) {
    this.header = new Uint8Array(80 + Math.ceil(controlBytes / 8) * 8)
    this.bytes = bytes
    this.view = new DataView(this.header.buffer)
    const here = BigInt(addressOf(this.header))
    this.view.setBigUint64(16, here + 64n, true)
    this.view.setBigUint64(24, 1n, true)
    this.view.setBigUint64(32, controlBytes === 0 ? 0n : here + 80n, true)
    this.view.setBigUint64(40, BigInt(controlBytes), true)
    this.view.setBigUint64(64, BigInt(addressOf(this.bytes)), true)
    this.view.setBigUint64(72, BigInt(bytes.byteLength), true)
  }

  get flags(): number {
    return this.view.getInt32(48, true)
  }

  putDescriptors(descriptors: readonly Fd[]): void {
    this.view.setBigUint64(80, BigInt(CMSG_HEADER_BYTES + descriptors.length * 4), true)
    this.view.setInt32(88, SOL_SOCKET, true)
    this.view.setInt32(92, SCM_RIGHTS, true)
    for (const [index, fd] of descriptors.entries()) this.view.setInt32(96 + index * 4, fd, true)
  }

  putCredentials({ pid, uid, gid }: Sender): void {
    this.view.setBigUint64(80, BigInt(CMSG_HEADER_BYTES + CREDENTIALS_BYTES), true)
    this.view.setInt32(88, SOL_SOCKET, true)
    this.view.setInt32(92, SCM_CREDENTIALS, true)
    for (const [index, id] of [pid, uid, gid].entries()) this.view.setInt32(96 + index * 4, id, true)
  }

  /** Unix sockets deliver one SCM_RIGHTS block at most, and no other kind of control message is turned on. */
  takeDescriptors(): Fd[] {
    const controlBytes = Number(this.view.getBigUint64(40, true))
    if (controlBytes < CMSG_HEADER_BYTES) return []
    if (this.view.getInt32(88, true) !== SOL_SOCKET || this.view.getInt32(92, true) !== SCM_RIGHTS) return []
    const count = Math.floor((Number(this.view.getBigUint64(80, true)) - CMSG_HEADER_BYTES) / 4)
    return Array.from({ length: count }, (_, index) => this.view.getInt32(96 + index * 4, true) as Fd)
  }
}
