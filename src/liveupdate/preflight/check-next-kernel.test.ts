import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { kernelImageBytes } from '../../linux/testing/kernel-images.ts'
import { openNextKernel } from './check-next-kernel.ts'
import { linesOf } from './testing/facts.ts'

const scratch = mkdtempSync(join(tmpdir(), 'next-kernel-'))
after(() => rmSync(scratch, { recursive: true }))

const imageOf = (release: string): Buffer => kernelImageBytes({ banner: `${release} (builder) #1 SMP` })

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(scratch, name)
  writeFileSync(path, bytes)
  return path
}

const KERNEL = file('vmlinuz', imageOf('7.3.4-test'))
const INITRD = file('initrd', '070701xxxx')
mkdirSync(join(scratch, 'modules/7.3.4-test'), { recursive: true })
function examine(kernel: string, initrd?: string) {
  const { next, findings } = openNextKernel(kernel, initrd, join(scratch, 'modules'))
  next?.close()
  return { next, findings }
}

test('a kernel image has its release and the length of its longest command line', () => {
  const { next, findings } = examine(KERNEL, INITRD)
  assert.deepEqual([next?.image.release, next?.image.commandLineMax], ['7.3.4-test', 2047])
  assert.equal(next?.initrd?.sizeBytes, 10)
  assert.deepEqual(findings, [])
  assert.match(
    linesOf(examine(file('other', imageOf('6.1.0'))).findings).join(),
    /^warn: .*6\.1\.0 is missing/,
  )
})

test('a file that is no kernel or no initramfs is refused', () => {
  const broken = (change: (head: Buffer) => void): string => {
    const head = imageOf('1.0')
    change(head)
    return linesOf(examine(file('broken', head)).findings).join()
  }
  assert.match(
    broken((head) => head.fill(0, 0x202, 0x206)),
    /^error: kernel .* is not a Linux kernel image/,
  )
  assert.match(
    broken((head) => head.writeUInt16LE(0x0200, 0x206)),
    /no 64-bit kernel/,
  )
  assert.match(
    broken((head) => head.writeUInt16LE(1, 0x236)),
    /no 64-bit kernel/,
  )
  assert.match(linesOf(examine(file('empty', '')).findings).join(), /is not a Linux kernel image/)
  assert.match(linesOf(examine(join(scratch, 'none')).findings).join(), /^error: kernel .*none is missing$/)
  assert.match(linesOf(examine(scratch).findings).join(), /cannot be read: EISDIR/)
  const short = linesOf(examine(file('short', imageOf('1.0').subarray(0, 4100))).findings)
  assert.match(
    short.join(),
    /^error: kernel .*short is cut short: it has 4100 bytes, and its header says 4160$/,
  )
  const initrd = linesOf(examine(KERNEL, file('text', 'hello world')).findings)
  assert.match(initrd.join(), /^error: initrd .* is no cpio archive/)
  assert.match(
    linesOf(examine(KERNEL, join(scratch, 'none')).findings).join(),
    /^error: initrd .* is missing$/,
  )
})

test('nothing stays open of a kernel that is refused', () => {
  const before = readdirSync('/proc/self/fd').length
  assert.equal(examine(file('text', 'no kernel'), INITRD).next, undefined)
  assert.equal(examine(join(scratch, 'none'), INITRD).next, undefined)
  examine(KERNEL, INITRD)
  assert.equal(readdirSync('/proc/self/fd').length, before)
})
