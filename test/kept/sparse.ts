/**
 * Bytes that are mostly zero, as a small file: their length, then number and contents of each page that is
 * not zero; compressed.
 */
import { gunzipSync, gzipSync } from 'node:zlib'

const PAGE_BYTES = 4096
const ZEROS = Buffer.alloc(PAGE_BYTES)
const LENGTH_BYTES = 8
const NUMBER_BYTES = 4

export function packSparse(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeBigUInt64LE(BigInt(bytes.length))
  const parts: Uint8Array[] = [length]
  for (let page = 0; page * PAGE_BYTES < bytes.length; page++) {
    const content = bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
    if (ZEROS.subarray(0, content.length).equals(content)) continue
    const number = Buffer.alloc(NUMBER_BYTES)
    number.writeUInt32LE(page)
    parts.push(number, content)
  }
  return gzipSync(Buffer.concat(parts), { level: 9 })
}

/** Pages that are zero take no memory before they are touched. */
export function unpackSparse(packed: Uint8Array): Uint8Array {
  const parts = gunzipSync(packed)
  const bytes = new Uint8Array(Number(parts.readBigUInt64LE()))
  for (let at = LENGTH_BYTES; at < parts.length; at += NUMBER_BYTES + PAGE_BYTES) {
    const start = parts.readUInt32LE(at) * PAGE_BYTES
    const content = parts.subarray(at + NUMBER_BYTES, at + NUMBER_BYTES + PAGE_BYTES)
    bytes.set(content.subarray(0, bytes.length - start), start)
  }
  return bytes
}
