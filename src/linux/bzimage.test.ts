import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { EISDIR, ENOENT, ENOEXEC, Errno } from '../values/errno.ts'
import { type KernelImage, openKernelImage } from './bzimage.ts'
import { kernelImageBytes } from './testing/kernel-images.ts'

const scratch = mkdtempSync(join(tmpdir(), 'bzimage-'))
after(() => rmSync(scratch, { recursive: true }))

const BANNER = '7.3.4-test (builder@host) #1 SMP'
const PAYLOAD = Buffer.from('a kernel that is compressed in no way')

function file(bytes: Uint8Array | string, name = 'vmlinuz'): string {
  const path = join(scratch, name)
  writeFileSync(path, bytes)
  return path
}

function opened(path: string): KernelImage {
  const image = openKernelImage(path)
  assert.ok(!(image instanceof Errno), String(image))
  return image
}

test('an image tells its banner, its release, its limits and its payload', () => {
  const bytes = kernelImageBytes({ banner: BANNER, payload: PAYLOAD })
  const image = opened(file(bytes))
  assert.equal(image.banner, BANNER)
  assert.equal(image.release, '7.3.4-test')
  assert.equal(image.commandLineMax, 2047)
  assert.equal(image.isLoadable, true)
  assert.deepEqual([image.sizeBytes, image.expectedBytes], [bytes.length, bytes.length])
  assert.deepEqual(image.payload(), Buffer.concat([PAYLOAD, Buffer.alloc(4)]))
  image.close()
})

test('what is no image is an errno, as the kernel itself would answer', () => {
  assert.equal(openKernelImage(join(scratch, 'none')), ENOENT)
  assert.equal(openKernelImage(scratch), EISDIR)
  assert.equal(openKernelImage(file('')), ENOEXEC)
  assert.equal(openKernelImage(file('x'.repeat(5000))), ENOEXEC)
  const noMagic = kernelImageBytes({ banner: BANNER })
  assert.equal(openKernelImage(file(noMagic.fill(0, 0x202, 0x206))), ENOEXEC)
})

test('an old or a 32-bit image is known as such, and one that is cut short by its size', () => {
  const changed = (change: (bytes: Buffer) => unknown): KernelImage => {
    const bytes = kernelImageBytes({ banner: BANNER })
    change(bytes)
    return opened(file(bytes))
  }
  assert.equal(changed((bytes) => bytes.writeUInt16LE(0x0200, 0x206)).isLoadable, false)
  assert.equal(changed((bytes) => bytes.writeUInt16LE(1, 0x236)).isLoadable, false)
  const whole = kernelImageBytes({ banner: BANNER, payload: PAYLOAD })
  const short = opened(file(whole.subarray(0, whole.length - 40)))
  assert.equal(short.expectedBytes - short.sizeBytes, 40)
  const payload = short.payload()
  assert.ok(!(payload instanceof Errno) && payload.length < PAYLOAD.length, 'no more than there is')
})

test('a file that is renamed over the path changes nothing of an image that is open', () => {
  const path = file(kernelImageBytes({ banner: BANNER, payload: PAYLOAD }))
  const image = opened(path)
  renameSync(file(kernelImageBytes({ banner: 'other', payload: Buffer.from('other') }), 'other'), path)
  assert.deepEqual(image.payload(), Buffer.concat([PAYLOAD, Buffer.alloc(4)]))
  assert.equal(opened(path).banner, 'other')
})
