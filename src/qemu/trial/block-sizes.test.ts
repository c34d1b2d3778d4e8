import assert from 'node:assert/strict'
import { test } from 'node:test'
import { otherSizes, parseBlockSizes } from './block-sizes.ts'

/** As QEMU 10.0 writes it. */
const HEAD =
  '              Block Name    PSize              Offset               Used              Total  HVA  RO'
const line = (name: string, used: string, most = used): string =>
  `${name.padStart(24)}    4 KiB  0x0000000000000000 0x${used} 0x${most} 0x00007f24a0200000  ro`
const sizesOf = (...lines: string[]) => parseBlockSizes([HEAD, ...lines, ''].join('\n'))

const ROM = '0000:00:02.0:00.0/virtio-net-pci.rom'
const TABLES = '/rom@etc/acpi/tables'

test('a ROM of another size is named, larger or smaller', () => {
  const running = sizesOf(line('ram', '4000000'), line(ROM, '40000'), line('pc.bios', '40000'))
  assert.deepEqual(otherSizes(running, running), [])
  for (const [used, words] of [
    ['80000', '512K'],
    ['20000', '128K'],
  ] as const) {
    const next = sizesOf(line('ram', '4000000'), line(ROM, used), line('pc.bios', '40000'))
    const [other, ...more] = otherSizes(running, next)
    assert.ok(other?.includes(`${ROM} of ${words}, and the guest has 256K`), other)
    assert.deepEqual(more, [])
  }
})

test('tables that QEMU enlarges may differ up to the most that the next QEMU takes', () => {
  const running = sizesOf(line(TABLES, '20000', '200000'))
  assert.deepEqual(otherSizes(running, sizesOf(line(TABLES, '10000', '20000'))), [])
  assert.equal(otherSizes(running, sizesOf(line(TABLES, '10000', '10000'))).length, 1)
})

test('what is spelled in another way gives no sizes, and a block that the trial has not is none of its', () => {
  assert.equal(parseBlockSizes('ram: 64 MiB\n').size, 0)
  assert.deepEqual(otherSizes(sizesOf(line('tpm-ppi', '1000')), sizesOf()), [])
})
