/**
 * How processes end that are no children of this one, on a kernel whose pidfds do not report it (before Linux
 * 6.15): the kernel's process connector, a netlink multicast, sends an event for each thread that exits. It
 * needs root, and CONFIG_PROC_EVENTS. Layouts: struct nlmsghdr (include/uapi/linux/netlink.h), cn_msg
 * (connector.h), proc_input and proc_event (cn_proc.h).
 */
import { release } from 'node:os'
import { Errno } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import { close } from './descriptors.ts'
import { libcCall, orErrno, untilReadable } from './library.ts'
import { endFromWait, type ProcessEnd } from './process.ts'

const socket = libcCall('socket', 'int', ['int', 'int', 'int'])
const bind = libcCall('bind', 'int', ['int', 'void *', 'uint'])
const send = libcCall('send', 'int64_t', ['int', 'void *', 'size_t', 'int'])
const recv = libcCall('recv', 'int64_t', ['int', 'void *', 'size_t', 'int'])

const AF_NETLINK = 16
const SOCK_DGRAM_CLOEXEC = 0o2000002
const NETLINK_CONNECTOR = 11
const NLMSG_DONE = 3
const CN_IDX_PROC = 1
const CN_VAL_PROC = 1
const PROC_CN_MCAST_LISTEN = 1
const PROC_EVENT_EXIT = 0x80000000
const MSG_DONTWAIT = 0x40
/** Of struct nlmsghdr and struct cn_msg together, before the data. */
const HEADER_BYTES = 36

/** Linux 6.15 reports it through the pidfd (`endOf` of process.ts). */
export function pidfdsReportEnds(version = release()): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  return major > 6 || (major === 6 && minor >= 15)
}

export class ExitEvents {
  readonly #fd: Fd
  readonly #watched = new Set<number>()
  readonly #ends = new Map<number, ProcessEnd>()
  #wait: ReturnType<typeof untilReadable> | undefined
  #isClosed = false

  private constructor(fd: Fd) {
    this.#fd = fd
    void this.#readOn()
  }

  /** undefined: not root, or the kernel has none. */
  static open(): ExitEvents | undefined {
    const fd = orErrno(socket(AF_NETLINK, SOCK_DGRAM_CLOEXEC, NETLINK_CONNECTOR))
    if (fd instanceof Errno) return undefined
    const address = Buffer.alloc(12)
    address.writeUInt16LE(AF_NETLINK, 0)
    address.writeUInt32LE(CN_IDX_PROC, 8)
    const order = listenOrder()
    // SAFETY: bind reads one struct sockaddr_nl of 12 bytes, send order.length bytes.
    if (bind(fd, address, address.length) === 0 && send(fd, order, order.length, 0) === order.length)
      return new ExitEvents(fd as Fd)
    close(fd as Fd)
    return undefined
  }

  /** From now on this keeps the end of `pid` for `take`. */
  watch(pid: number): void {
    this.#watched.add(pid)
  }

  /**
   * Of one whose pidfd is readable: its event was sent before that. undefined: it was lost, or not watched.
   */
  take(pid: number): ProcessEnd | undefined {
    this.#drain()
    const end = this.#ends.get(pid)
    this.#watched.delete(pid)
    this.#ends.delete(pid)
    return end
  }

  close(): void {
    this.#isClosed = true
    this.#wait?.cancel()
    close(this.#fd)
  }

  async #readOn(): Promise<void> {
    while (!this.#isClosed) {
      this.#wait = untilReadable(this.#fd)
      await this.#wait.readable
      if (!this.#isClosed) this.#drain()
    }
  }

  #drain(): void {
    const bytes = Buffer.alloc(256)
    for (;;) {
      // SAFETY: recv writes at most bytes.length bytes. An error is an empty queue, or one that has
      // overflowed.
      const length = recv(this.#fd, bytes, bytes.length, MSG_DONTWAIT)
      if (length < 0) return
      if (length < HEADER_BYTES + 28 || bytes.readUInt32LE(HEADER_BYTES) !== PROC_EVENT_EXIT) continue
      const [pid, process, code] = [16, 20, 24].map((at) => bytes.readUInt32LE(HEADER_BYTES + at))
      // Each thread has an event; the first one's is the process'.
      if (pid === undefined || pid !== process || !this.#watched.has(pid)) continue
      this.#ends.set(pid, endFromWait(code ?? 0))
    }
  }
}

/** Exits alone, of all processes. */
function listenOrder(): Buffer {
  const order = Buffer.alloc(HEADER_BYTES + 8)
  order.writeUInt32LE(order.length, 0)
  order.writeUInt16LE(NLMSG_DONE, 4)
  order.writeUInt32LE(CN_IDX_PROC, 16)
  order.writeUInt32LE(CN_VAL_PROC, 20)
  order.writeUInt16LE(8, 32)
  order.writeUInt32LE(PROC_CN_MCAST_LISTEN, HEADER_BYTES)
  order.writeUInt32LE(PROC_EVENT_EXIT, HEADER_BYTES + 4)
  return order
}
