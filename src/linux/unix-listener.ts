/**
 * A listening Unix socket that is made here and used by a child: the child inherits the descriptor, so the
 * socket's path can be where the child could not make one, and it stays while one child replaces another.
 * Layout: struct sockaddr_un, include/uapi/linux/un.h.
 */
import { chmodSync, renameSync, rmSync } from 'node:fs'
import { ENAMETOOLONG } from '../values/errno.ts'
import { SystemCallError } from '../values/errors.ts'
import type { Fd } from '../values/ids.ts'
import { libcCall, must } from './library.ts'
import { AF_UNIX, SUN_PATH_BYTES } from './sockets.ts'

const socket = libcCall('socket', 'int', ['int', 'int', 'int'])
const bind = libcCall('bind', 'int', ['int', 'void *', 'uint'])
const listen = libcCall('listen', 'int', ['int', 'int'])
const connect = libcCall('connect', 'int', ['int', 'void *', 'uint'])

const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const BACKLOG = 16

/**
 * A close-on-exec stream socket that listens at `path`, in place of whatever had the name; only its owner may
 * connect. Throws SystemCallError: ENAMETOOLONG (101 bytes are the most), ENOENT, EACCES.
 */
export const listenUnix = (path: string): Fd => listenAt(path, () => {})

export interface ConnectedListener {
  readonly listener: Fd
  /**
   * The other end of the first connection that it will accept, before any process can connect by the path.
   */
  readonly first: Fd
}

/** As `listenUnix`. */
export function listenConnected(path: string): ConnectedListener {
  let first: Fd | undefined
  const listener = listenAt(path, (address) => {
    first = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 'socket AF_UNIX') as Fd
    // SAFETY: connect reads address.length bytes, as bind does.
    must(connect(first, address, address.length), `connect ${path}`)
  })
  return { listener, first: first as Fd }
}

/** `onListen`: with the address, before the socket is at its path. */
function listenAt(path: string, onListen: (address: Buffer) => void): Fd {
  // A child that ends may remove the path to which its socket was bound (QEMU does: `socket_listen_cleanup`).
  // Renamed, the socket can still be connected to, and that path does not exist.
  const boundTo = `${path}.bound`
  const name = Buffer.from(boundTo)
  if (name.length >= SUN_PATH_BYTES) throw new SystemCallError(`bind ${boundTo}`, ENAMETOOLONG)
  const address = Buffer.alloc(2 + SUN_PATH_BYTES)
  address.writeUInt16LE(AF_UNIX, 0)
  name.copy(address, 2)
  rmSync(boundTo, { force: true })
  const fd = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 'socket AF_UNIX') as Fd
  // SAFETY: bind reads address.length bytes, which is one whole struct sockaddr_un, zero-terminated.
  must(bind(fd, address, address.length), `bind ${boundTo}`)
  chmodSync(boundTo, 0o600) // before listen: no process can have connected
  must(listen(fd, BACKLOG), `listen ${path}`)
  onListen(address)
  renameSync(boundTo, path)
  return fd
}
