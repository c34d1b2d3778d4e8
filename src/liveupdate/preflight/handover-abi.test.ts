import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { type KernelImage, openKernelImage } from '../../linux/bzimage.ts'
import { kernelImageBytes } from '../../linux/testing/kernel-images.ts'
import { Errno } from '../../values/errno.ts'
import { abiIn, handoverAbi, runningAbi } from './handover-abi.ts'

const scratch = mkdtempSync(join(tmpdir(), 'kernel-abi-'))
after(() => rmSync(scratch, { recursive: true }))

const BANNER = '9.9.9-none (builder@host) #7 SMP Thu Jan  1 00:00:00 UTC 1970'
const VERSION = 'Linux version 9.9.9-none (builder@host) (gcc 12) #7 SMP Thu Jan  1 00:00:00 UTC 1970\n'
const ABI = { kho: 'kho-v4', luo: 'luo-v5', memfd: 'memfd-v2' }
/** As in a kernel's data: before the last name there is a pointer. */
const KERNEL = Buffer.from('text kho-vX\0kho-v4\0more luo-v5\0\x99\x81memfd-v2\0rest')

function image(payload: Uint8Array, banner = BANNER): KernelImage {
  const path = join(scratch, 'vmlinuz')
  writeFileSync(path, kernelImageBytes({ banner, payload }))
  const opened = openKernelImage(path)
  assert.ok(!(opened instanceof Errno))
  return opened
}

test('the names of its formats are found in a kernel, however it is compressed', () => {
  assert.deepEqual(handoverAbi(image(gzipSync(KERNEL))), ABI)
  assert.deepEqual(handoverAbi(image(zstdCompressSync(KERNEL))), ABI)
  const none = { kho: undefined, luo: undefined, memfd: undefined }
  assert.deepEqual(handoverAbi(image(gzipSync('a kernel without any, kho-v4 but for its end'))), none)
  assert.deepEqual(abiIn(Buffer.from('kho-v12\0')), { ...none, kho: 'kho-v12' })
})

test('a kernel that cannot be unpacked is unknown, which differs from one without formats', () => {
  assert.equal(handoverAbi(image(Buffer.from('no packer knows this'))), undefined)
  assert.equal(handoverAbi(image(gzipSync(KERNEL).fill(7, 12, 40))), undefined)
  assert.equal(handoverAbi(image(Buffer.alloc(0))), undefined)
})

test('the running kernel’s formats are read from an image of the same build, and from no other', () => {
  const same = image(gzipSync(KERNEL))
  assert.deepEqual(runningAbi('9.9.9-none', VERSION, same), ABI)
  const rebuilt = image(gzipSync(KERNEL), BANNER.replace('#7', '#8'))
  assert.equal(runningAbi('9.9.9-none', VERSION, rebuilt), undefined)
  const other = image(gzipSync(KERNEL), BANNER.replace('9.9.9', '9.9.8'))
  assert.equal(runningAbi('9.9.9-none', VERSION, other), undefined)
})
