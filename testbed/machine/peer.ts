/**
 * The other end of a TCP connection of a guest: it sends each line back. It is outside of the host, whose
 * QEMU has it at an address of its user network, so no kexec of the host ends it, or loses what it has
 * received; QEMU's own TCP (slirp) is the one that the guest's TCP talks to.
 */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** In the user network: 10.0.2.0/24, of which guests take addresses as they like. */
export const PEER_ADDRESS = '10.0.2.100'
export const PEER_PORT = 7

export class Peer {
  /** A unix socket. */
  readonly path: string
  /** All that came, in order. */
  readonly lines: string[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(path: string) {
    this.path = path
    this.#server = createServer((socket) => this.#serve(socket))
  }

  /** Must be there before the machine is: QEMU connects once, when it starts. */
  static async listen(path: string): Promise<Peer> {
    const peer = new Peer(path)
    peer.#server.listen(path)
    await once(peer.#server, 'listening')
    return peer
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => {}) // the machine has ended
    createInterface({ input: socket }).on('line', (line) => {
      this.lines.push(line)
      socket.write(`${line}\n`)
    })
  }
}

export const PEER_CHARDEV = 'peer'
/** Of a user network. */
export const peerForward = `guestfwd=tcp:${PEER_ADDRESS}:${PEER_PORT}-chardev:${PEER_CHARDEV}`

/** The host's network card, for QEMU: no packet leaves QEMU, but what goes to the peer. */
export const networkWords = (path: string): string[] => [
  ...['-chardev', `socket,id=${PEER_CHARDEV},path=${path}`],
  ...['-netdev', `user,id=outside,restrict=on,${peerForward}`],
  ...['-device', 'virtio-net-pci,netdev=outside,romfile='],
]
