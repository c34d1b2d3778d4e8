/**
 * The other end of a shared folder (vhost-user-fs) for the trial's QEMU: its helper serves one QEMU, that of
 * the guest. QEMU builds the device once the helper has replied with its features
 * (docs/interop/vhost-user.rst); all else it sends when a guest starts the device, and in a trial none does.
 * So no helper gets guest RAM: QEMU sends it (SET_MEM_TABLE) when a guest starts the device.
 */
import type { Duplex } from 'node:stream'

/** u32 request, flags and size of what follows. */
const HEADER_BYTES = 12
const MOST_BYTES = 4096
/** Version 1, and a reply. */
const REPLY = 0x5
/** What is answered, by the request; others have no reply. */
const ANSWERS = new Map([
  // GET_FEATURES: VIRTIO_F_VERSION_1, and VHOST_USER_F_PROTOCOL_FEATURES, without which QEMU 10 counts no
  // memory slots.
  [1, (1n << 32n) | (1n << 30n)],
  // GET_PROTOCOL_FEATURES: VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS, or a guest with many DIMMs would be
  // refused.
  [15, 1n << 15n],
  // GET_MAX_MEM_SLOTS: as many as virtiofsd has.
  [36, 509n],
])

/** Serves until `socket` ends. */
export function standIn(socket: Duplex): void {
  let unread = Buffer.alloc(0)
  socket.on('error', () => {}) // QEMU has ended, which the trial sees by itself
  socket.on('data', (bytes: Buffer) => {
    unread = Buffer.concat([unread, bytes])
    while (unread.length >= HEADER_BYTES) {
      const sizeBytes = HEADER_BYTES + unread.readUInt32LE(8)
      if (sizeBytes > MOST_BYTES) return void socket.destroy()
      if (unread.length < sizeBytes) return
      const request = unread.readUInt32LE(0)
      const answer = ANSWERS.get(request)
      if (answer !== undefined) socket.write(reply(request, answer))
      unread = unread.subarray(sizeBytes)
    }
  })
}

function reply(request: number, value: bigint): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + 8)
  for (const [index, word] of [request, REPLY, 8].entries()) bytes.writeUInt32LE(word, 4 * index)
  bytes.writeBigUInt64LE(value, HEADER_BYTES)
  return bytes
}
