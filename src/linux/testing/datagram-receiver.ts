/** A socket that receives what a program logs, in place of the journal or of syslog. */
import { rmSync } from 'node:fs'
import type { Fd } from '../../values/ids.ts'
import { close } from '../descriptors.ts'
import { libcCall, must } from '../library.ts'
import { receiveMessageNow } from '../sockets.ts'

const socket = libcCall('socket', 'int', ['int', 'int', 'int'])
const bind = libcCall('bind', 'int', ['int', 'void *', 'uint'])

const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000

export class DatagramReceiver {
  readonly #fd: Fd
  readonly #path: string

  /** Listens at `path`, which must not be there yet. */
  constructor(path: string) {
    this.#path = path
    this.#fd = must(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket AF_UNIX') as Fd
    const address = Buffer.alloc(110)
    address.writeUInt16LE(AF_UNIX, 0)
    address.write(path, 2)
    // SAFETY: bind reads one struct sockaddr_un, zero-terminated.
    must(bind(this.#fd, address, address.length), `bind ${path}`)
  }

  /** What has come since the last look, in order. */
  take(): string[] {
    const texts: string[] = []
    for (;;) {
      const message = receiveMessageNow(this.#fd)
      if (message === undefined || message === 'ended') return texts
      texts.push(Buffer.from(message.bytes).toString())
    }
  }

  close(): void {
    close(this.#fd)
    rmSync(this.#path, { force: true })
  }
}
