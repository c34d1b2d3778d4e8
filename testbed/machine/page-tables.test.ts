import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kernelMappings, visibleBytes } from './page-tables.ts'

const MIB = 2 ** 20
/**
 * As QEMU 10 prints them: a direct map with a hole of 2 MiB at 4 MiB, a user's page, a page that is mapped
 * elsewhere as well.
 */
const MEM = `0000000000400000-0000000000401000 0000000000001000 ur-
ff1a189080000000-ff1a189080400000 0000000000400000 -rw
ff1a189080600000-ff1a189080800000 0000000000200000 -rw
ffffffff90000000-ffffffff90200000 0000000000200000 -r-`
const TLB = `0000000000400000: 0000000000401000 X---A--U-
ff1a189080000000: 0000000000000000 XGPDA---W
ff1a189080200000: 0000000000200000 XGPDA---W
ff1a189080600000: 0000000000600000 XGPDA---W
ff63697400000000: 0000000000500000 XG-DA---W
ffffffff90000000: 0000000000200000 -GP-A----`

test('what the direct map covers, and what else leads there', () => {
  const mappings = kernelMappings(MEM, TLB)
  assert.equal(mappings.directMapBase, 0xff1a189080000000n)
  const look = (start: number, length: number) =>
    visibleBytes(mappings, [{ start: start * MIB, lengthBytes: length * MIB }])
  assert.deepEqual(look(0, 2), { direct: 2 * MIB, entries: 1 })
  assert.deepEqual(
    look(3, 4),
    { direct: 2 * MIB, entries: 2 },
    'half before the hole, half behind it; a page in it is mapped',
  )
  assert.deepEqual(look(4, 1), { direct: 0, entries: 0 }, 'the user has mapped a page of it')
  assert.deepEqual(look(8, 4), { direct: 0, entries: 0 })
})

test('no kernel is an error, and not a proof of hiding', () => {
  assert.throws(() => kernelMappings('', ''), /no kernel/)
  assert.throws(() => kernelMappings('PG disabled', TLB), /no direct map/)
})
