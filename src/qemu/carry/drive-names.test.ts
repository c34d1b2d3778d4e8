/** Tests of the names of drives; test/vm/carried-drives.test.ts has them with a real QEMU. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCommandLine } from '../command-line.ts'
import { asDrive, driveArguments } from './drive-names.ts'

const names = (...words: string[]): string[] => [
  ...driveArguments(parseCommandLine(['qemu', ...words])).own.keys(),
]
const drive = (value: string): string[] => ['-drive', value]

test('by interface, bus and unit, in the order of the line', () => {
  assert.deepEqual(names('-hda', 'a', '-hdd', 'b', '-cdrom', 'c', '-fda', 'd'), [
    ...['ide0-hd0', 'ide1-hd1', 'ide1-cd0', 'floppy0'],
  ])
  // One drive on each bus. A word alone is a disk.
  assert.deepEqual(names('-machine', 'pc-q35-10.0', '-cdrom', 'c', 'a'), ['ide2-cd0', 'ide0-hd0'])
})

test('the first free place where none is given; an id is the name, and takes a place as well', () => {
  assert.deepEqual(names(...drive('if=virtio,file=a'), ...drive('if=virtio,file=b')), ['virtio0', 'virtio1'])
  assert.deepEqual(names(...drive('if=none,id=x'), ...drive('if=none')), ['x', 'none1'])
  assert.deepEqual(names(...drive('file=a'), ...drive('file=b'), ...drive('media=cdrom')), [
    ...['ide0-hd0', 'ide0-hd1', 'ide1-cd0'],
  ])
  assert.deepEqual(names(...drive('if=scsi,bus=1,unit=3'), ...drive('if=scsi,index=8')), [
    ...['scsi1-hd3', 'scsi1-hd1'],
  ])
  assert.deepEqual(names(...drive('if=pflash,file=a'), '-pflash', 'b'), ['pflash0', 'pflash1'])
})

test('a short option as -drive, with the path as it is', () => {
  const [argument] = parseCommandLine(['qemu', '-cdrom', '/a,b.iso']).arguments
  assert.equal(asDrive(argument as NonNullable<typeof argument>).value, 'index=2,media=cdrom,file=/a,,b.iso')
})
