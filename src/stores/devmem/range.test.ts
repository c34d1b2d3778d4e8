/** Which reserved range is a pool's, and the one line for each that cannot be. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { UsageError } from '../../values/errors.ts'
import { findReservedRange, rangeLockName } from './range.ts'

const GIB = 2 ** 30
/**
 * As a q35 machine of 4 GiB with 1 GiB reserved at 4 GiB shows it: the kernel shows it as one with the
 * firmware's own.
 */
const IOMEM = `00000000-7fffffff : System RAM
b0000000-bfffffff : PCI ECAM
fffc0000-13fffffff : Reserved
140000000-17fffffff : System RAM
`
const FIRMWARE: [number, number, string][] = [
  [0, 2 * GIB, 'System RAM'],
  [0xfffc0000, 4 * GIB, 'Reserved'],
  [4 * GIB, 6 * GIB, 'System RAM'],
]

interface Machine {
  line?: string
  iomem?: string
  firmware?: readonly (readonly [number, number, string])[]
}

function find(wanted?: string, { line = 'memmap=1G$4G', iomem = IOMEM, firmware = FIRMWARE }: Machine = {}) {
  const root = mkdtempSync(join(tmpdir(), 'range-'))
  try {
    mkdirSync(join(root, 'proc'))
    writeFileSync(join(root, 'proc/cmdline'), `root=/dev/vda ${line}\n`)
    writeFileSync(join(root, 'proc/iomem'), iomem)
    for (const [index, [start, end, type]] of firmware.entries()) {
      const folder = join(root, 'sys/firmware/memmap', String(index))
      mkdirSync(folder, { recursive: true })
      for (const [name, text] of Object.entries({
        start: `0x${start.toString(16)}`,
        end: `0x${(end - 1).toString(16)}`,
        type,
      }))
        writeFileSync(join(folder, name), `${text}\n`)
    }
    const found = findReservedRange(wanted, root)
    return `${found.name} ${rangeLockName(found)} ${found.layout.totalBlocks}`
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error))
    assert.doesNotMatch(error.message, /\n/)
    return error.message
  } finally {
    rmSync(root, { recursive: true })
  }
}

test('the only range is found without a name, others by their first byte', () => {
  assert.equal(find(), '0x100000000 mem-100000000 504')
  const two = { line: 'memmap=512M$4G memmap=512M$4608M' }
  for (const name of ['4G', '0x100000000']) assert.match(find(name, two), /^0x100000000 /)
  assert.match(find('4608M', two), /^0x120000000 /)
  assert.match(
    find(undefined, two),
    /several reserved ranges: say which one with region=, of 0x100000000, 0x120000000/,
  )
})

test('not reserved', () => {
  assert.match(find(undefined, { line: '' }), /no memory is reserved by the command line: boot with memmap=/)
  assert.match(find('5G'), /no range at 5G is reserved.*there is 0x100000000/)
  assert.match(find(undefined, { line: 'memmap=1G%4G-1+0xefffffff' }), /no memory is reserved/)
  const elsewhere = IOMEM.replace('13fffffff : Reserved', '11fffffff : Reserved')
  assert.match(find(undefined, { iomem: elsewhere }), /is not reserved in this kernel's map, at 4608M/)
})

test('partly RAM that is used, or partly no RAM at all', () => {
  const used = IOMEM.replace('13fffffff', '11fffffff').replace('140000000', '120000000')
  assert.match(
    find(undefined, { iomem: used }),
    /range 1G at 4G is partly ordinary RAM of this kernel \(at 4608M\)/,
  )
  const beyond = find(undefined, { line: 'memmap=1G$5632M' })
  assert.match(beyond, /range 1G at 5632M is not all RAM: 512M at 6G is the firmware's/)
  assert.match(find(undefined, { firmware: [] }), /CONFIG_FIRMWARE_MEMMAP/)
})

test('held by a driver', () => {
  const held = IOMEM.replace('Reserved\n', 'Reserved\n  110000000-1100fffff : ramoops:dump(0/3)\n')
  assert.match(find(undefined, { iomem: held }), /range 1G at 4G is held by 'ramoops:dump\(0\/3\)' at 4352M/)
})

test('addresses are for root alone; and a range must hold a pool', () => {
  assert.match(find(undefined, { iomem: '00000000-00000000 : System RAM\n' }), /run it with sudo/)
  assert.match(find(undefined, { line: 'memmap=32M$4G' }), /has 32M: a pool needs 64M/)
  assert.match(find(undefined, { line: 'memmap=64M$0x100100000' }), /must begin at a multiple of 2M/)
})
