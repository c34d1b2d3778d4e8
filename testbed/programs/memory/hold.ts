/**
 * A process that maps a device, as a VMM does: `hold.ts PATH LENGTH [SEED [OFFSET]]`. It closes its
 * descriptor, fills the memory with a pattern where SEED is a number, or with the same bytes over and over
 * where it is `xHEX`, prints `holding CRC`, and stays until it is killed.
 */
import { closeSync, openSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { mapRaw, readRaw, writeRaw } from '../../../src/linux/raw-memory.ts'
import { Errno } from '../../../src/values/errno.ts'
import type { Fd } from '../../../src/values/ids.ts'
import { pattern } from './support.ts'

const [path = '', length = '0', seed = '', offset = '0'] = process.argv.slice(2)
const fd = openSync(path, 'r+')
const mapping = mapRaw(fd as Fd, Number(length), { writable: true, offset: Number(offset) })
if (mapping instanceof Errno) throw new Error(`mmap ${path}: ${mapping}`)
closeSync(fd)
if (seed !== '') writeRaw(mapping, 0, bytesOf(seed))
const bytes = new Uint8Array(Number(length))
readRaw(mapping, 0, bytes)
process.stdout.write(`holding ${crc32(bytes)}\n`)
setInterval(() => {}, 2 ** 30)

function bytesOf(word: string): Uint8Array {
  const repeated = word.startsWith('x') ? Buffer.from(word.slice(1), 'hex') : undefined
  return repeated ? Buffer.alloc(Number(length), repeated) : pattern(Number(word), Number(length))
}
