/** Tests of the cpio writer, read back as the kernel reads it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type CpioEntry, writeCpio } from './cpio.ts'

interface Read {
  readonly path: string
  readonly mode: number
  readonly rdev: readonly number[]
  readonly content: Buffer
}

/** The reader's side of the format, as the kernel has it (init/initramfs.c). */
function readCpio(archive: Buffer): Read[] {
  const entries: Read[] = []
  const padded = (offset: number): number => (offset + 3) & ~3
  for (let at = 0; ; ) {
    assert.equal(archive.toString('latin1', at, at + 6), '070701')
    const field = (n: number): number =>
      Number.parseInt(archive.toString('latin1', at + 6 + n * 8, at + 14 + n * 8), 16)
    const nameEnd = at + 110 + field(11)
    const path = archive.toString('utf8', at + 110, nameEnd - 1)
    const start = padded(nameEnd)
    if (path === 'TRAILER!!!') return entries
    const content = archive.subarray(start, start + field(6))
    entries.push({ path, mode: field(1), rdev: [field(9), field(10)], content })
    at = padded(start + field(6))
  }
}

test('every kind of entry is read back as it was given', () => {
  const read = readCpio(
    writeCpio([
      { path: 'dev', type: 'folder' },
      { path: 'dev/console', type: 'character device', major: 5, minor: 1 },
      { path: 'sh', type: 'symlink', target: 'bin/busybox' },
      { path: 'init', type: 'file', mode: 0o755, bytes: Buffer.from('#!') },
    ]),
  )
  assert.deepEqual(
    read.map(({ path, mode, rdev, content }) => [path, mode.toString(8), rdev.join(), content.toString()]),
    [
      ['dev', '40755', '0,0', ''],
      ['dev/console', '20600', '5,1', ''],
      ['sh', '120777', '0,0', 'bin/busybox'],
      ['init', '100755', '0,0', '#!'],
    ],
  )
})

test('names and contents of any length keep the archive aligned', () => {
  const file = fc.record({
    path: fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }).filter((name) => !name.includes('\0')),
    bytes: fc.uint8Array({ maxLength: 50 }),
  })
  fc.assert(
    fc.property(fc.array(file, { maxLength: 6 }), (files) => {
      const entries = files.map((each): CpioEntry => ({ ...each, type: 'file' }))
      const read = readCpio(writeCpio(entries))
      assert.deepEqual(
        read.map(({ path, content }) => ({ path, bytes: Uint8Array.from(content) })),
        files.map(({ path, bytes }) => ({ path, bytes: Uint8Array.from(bytes) })),
      )
    }),
  )
})
