import assert from 'node:assert/strict'
import { mkdtempSync, readSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { kernelImageBytes } from '../../linux/testing/kernel-images.ts'
import { EKEYREJECTED } from '../../values/errno.ts'
import type { Fd } from '../../values/ids.ts'
import { openNextKernel } from '../preflight/check-next-kernel.ts'
import { loadNextKernel } from './load-kernel.ts'

const scratch = mkdtempSync(join(tmpdir(), 'load-kernel-'))
after(() => rmSync(scratch, { recursive: true }))

const [KERNEL, INITRD] = [join(scratch, 'vmlinuz'), join(scratch, 'initrd')]
const IMAGE = kernelImageBytes({ banner: '7.3.4-checked (builder) #1 SMP' })
const CPIO = Buffer.from('070701 checked')

/** As a package manager replaces a file: by a rename of another one. */
function replace(path: string, bytes: Uint8Array): void {
  writeFileSync(`${path}.new`, bytes)
  renameSync(`${path}.new`, path)
}

/** As the kernel reads: from the beginning, whatever the descriptor's offset. */
function contents(fd: Fd | undefined): Buffer {
  const bytes = Buffer.alloc(1 << 20)
  return bytes.subarray(0, readSync(fd as Fd, bytes, 0, bytes.length, 0))
}

function checked() {
  replace(KERNEL, IMAGE)
  replace(INITRD, CPIO)
  const { next, findings } = openNextKernel(KERNEL, INITRD, scratch)
  assert.ok(next !== undefined)
  assert.deepEqual(
    findings.filter(({ severity }) => severity === 'error'),
    [],
  )
  return next
}

test('what was checked is loaded, whatever file has its path by then', () => {
  const next = checked()
  replace(KERNEL, kernelImageBytes({ banner: '6.6.6-other (stranger) #1 SMP' }))
  replace(INITRD, Buffer.from('070701 other'))
  const loaded: unknown[] = []
  loadNextKernel(next, 'root=/dev/vda', (kernel, initrd, commandLine) => {
    loaded.push(contents(kernel), contents(initrd), commandLine)
    return undefined
  })
  assert.deepEqual(loaded, [IMAGE, CPIO, 'root=/dev/vda'])
  next.close()
})

test('files that are deleted meanwhile are loaded all the same', () => {
  const next = checked()
  rmSync(KERNEL)
  rmSync(INITRD)
  const loaded: Buffer[] = []
  loadNextKernel(next, '', (kernel, initrd) => {
    loaded.push(contents(kernel), contents(initrd))
    return undefined
  })
  assert.deepEqual(loaded, [IMAGE, CPIO])
  next.close()
})

test('a kernel that the running one refuses is one line, with the reason', () => {
  const next = checked()
  assert.throws(
    () => loadNextKernel(next, '', () => EKEYREJECTED),
    /this kernel does not load .*vmlinuz: it rejects the key of the signature/,
  )
  next.close()
})
