/**
 * A copy of a kernel whose image names another KHO or LUO format than it has: the preflight must refuse it.
 * Its header points to a payload with the other name, appended to the file; the code that would boot is
 * unchanged. Documentation/arch/x86/boot.rst, `setup_sects`, `payload_offset`, `payload_length`.
 */
import { gunzipSync, gzipSync } from 'node:zlib'

const SETUP_SECTS = 0x1f1
const PAYLOAD_OFFSET = 0x248
const PAYLOAD_LENGTH = 0x24c
const SECTOR_BYTES = 512

/**
 * `vmlinuz`: a bzImage whose payload is gzip, as luo.config has it. `from` (`kho-v4`) becomes `to`, which
 * must be as long.
 */
export function withOtherAbi(vmlinuz: Buffer, from: string, to: string): Buffer {
  if (from.length !== to.length) throw new Error(`${to} is not as long as ${from}`)
  const protectedMode = ((vmlinuz[SETUP_SECTS] || 4) + 1) * SECTOR_BYTES
  const start = protectedMode + vmlinuz.readUInt32LE(PAYLOAD_OFFSET)
  const payload = gunzipSync(vmlinuz.subarray(start, start + vmlinuz.readUInt32LE(PAYLOAD_LENGTH)))
  let found = 0
  for (let at = payload.indexOf(from); at >= 0; at = payload.indexOf(from, at + 1)) {
    payload.write(to, at, 'latin1')
    found++
  }
  if (found === 0) throw new Error(`this kernel does not say ${from}`)
  const other = gzipSync(payload, { level: 1 })
  const result = Buffer.concat([vmlinuz, other])
  result.writeUInt32LE(vmlinuz.length - protectedMode, PAYLOAD_OFFSET)
  result.writeUInt32LE(other.length, PAYLOAD_LENGTH)
  return result
}
