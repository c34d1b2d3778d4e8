import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { abiIn, kernelAbi, kernelBanner, runningAbi } from './handover-abi.ts'

const scratch = mkdtempSync(join(tmpdir(), 'kernel-abi-'))
after(() => rmSync(scratch, { recursive: true }))

const PAYLOAD = 0x1000
const BANNER = '9.9.9-none (builder@host) #7 SMP Thu Jan  1 00:00:00 UTC 1970'
const VERSION = 'Linux version 9.9.9-none (builder@host) (gcc 12) #7 SMP Thu Jan  1 00:00:00 UTC 1970\n'
const ABI = { kho: 'kho-v4', luo: 'luo-v5', memfd: 'memfd-v2' }
/** As they stand in a kernel: before the last one there is a pointer. */
const KERNEL = Buffer.from('text kho-vX\0kho-v4\0more luo-v5\0\x99\x81memfd-v2\0rest')

/** As Documentation/arch/x86/boot.rst has it: the payload is compressed, its size follows it. */
function image(payload: Uint8Array, banner = BANNER): string {
  const bytes = Buffer.alloc(PAYLOAD + payload.length + 4)
  bytes[0x1f1] = 1
  bytes.write('HdrS', 0x202)
  bytes.writeUInt16LE(0x400 - 0x200, 0x20e)
  bytes.write(`${banner}\0`, 0x400)
  bytes.writeUInt32LE(PAYLOAD - 2 * 512, 0x248)
  bytes.writeUInt32LE(payload.length + 4, 0x24c)
  bytes.set(payload, PAYLOAD)
  const path = join(scratch, 'vmlinuz')
  writeFileSync(path, bytes)
  return path
}

test('the names of its formats are found in a kernel, however it is packed', () => {
  assert.deepEqual(kernelAbi(image(gzipSync(KERNEL))), ABI)
  assert.deepEqual(kernelAbi(image(zstdCompressSync(KERNEL))), ABI)
  const none = { kho: undefined, luo: undefined, memfd: undefined }
  assert.deepEqual(kernelAbi(image(gzipSync('a kernel without any, kho-v4 but for its end'))), none)
  assert.deepEqual(abiIn(Buffer.from('kho-v12\0')), { ...none, kho: 'kho-v12' })
})

test('what cannot be unpacked is not known, which is not the same as having none', () => {
  assert.equal(kernelAbi(image(Buffer.from('no packer knows this'))), undefined)
  assert.equal(kernelAbi(image(gzipSync(KERNEL).fill(7, 12, 40))), undefined)
  assert.equal(kernelAbi(image(Buffer.alloc(0))), undefined)
  const short = join(scratch, 'short')
  writeFileSync(short, 'x')
  assert.equal(kernelAbi(short), undefined)
  assert.equal(kernelBanner(Buffer.from('x')), undefined)
})

test('the running kernel is told by an image of the same build, and by no other', () => {
  const same = image(gzipSync(KERNEL))
  assert.deepEqual(runningAbi('9.9.9-none', VERSION, same), ABI)
  const rebuilt = image(gzipSync(KERNEL), BANNER.replace('#7', '#8'))
  assert.equal(runningAbi('9.9.9-none', VERSION, rebuilt), undefined)
  const other = image(gzipSync(KERNEL), BANNER.replace('9.9.9', '9.9.8'))
  assert.equal(runningAbi('9.9.9-none', VERSION, other), undefined)
})
