/** Kernel images for tests, with the header that Documentation/arch/x86/boot.rst describes. */

const PAYLOAD_AT = 0x1000
const BANNER_AT = 0x400

export interface FakeImage {
  readonly banner: string
  /** Compressed; the four bytes of its unpacked size follow it. */
  readonly payload?: Uint8Array
}

/** One sector of setup, the payload from byte 4096 on. */
export function kernelImageBytes({ banner, payload = new Uint8Array(60) }: FakeImage): Buffer {
  const lengthBytes = Math.ceil((PAYLOAD_AT + payload.length + 4) / 16) * 16
  const bytes = Buffer.alloc(lengthBytes)
  bytes[0x1f1] = 1
  bytes.writeUInt32LE((lengthBytes - 1024) / 16, 0x1f4)
  bytes.writeUInt16LE(0xaa55, 0x1fe)
  bytes.write('HdrS', 0x202)
  bytes.writeUInt16LE(0x020f, 0x206)
  bytes.writeUInt16LE(BANNER_AT - 0x200, 0x20e)
  bytes.writeUInt16LE(0x7f, 0x236)
  bytes.writeUInt32LE(2047, 0x238)
  bytes.writeUInt32LE(PAYLOAD_AT - 1024, 0x248)
  bytes.writeUInt32LE(payload.length + 4, 0x24c)
  bytes.write(`${banner}\0`, BANNER_AT)
  bytes.set(payload, PAYLOAD_AT)
  return bytes
}
