import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addNodeBytes, parseNumaMaps } from './page-nodes.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** As Linux prints them; the names of files are escaped, and may look like a count. */
const TEXT = `55d0c0a00000 default file=/usr/bin/qemu-system-x86_64 mapped=3 active=0 N0=3 kernelpagesize_kB=4
7f9900000000 bind:1 file=/mnt/gm/a\\040N7=9 dirty=66048 active=0 N1=65536 N0=512 kernelpagesize_kB=4
7f9a00000000 prefer (many):0-1 file=/dev/hugepages/x huge dirty=2 N1=2 kernelpagesize_kB=2048
7f9b00000000 default file=/dev/guestmemfs/p/3
7ffd00000000 default stack anon=3 dirty=3 N0=3 kernelpagesize_kB=4
`

test('bytes by node, of each mapping', () => {
  const maps = parseNumaMaps(TEXT)
  assert.deepEqual(maps.get(0x7f9900000000), [
    { node: 0, bytes: 2 * MIB },
    { node: 1, bytes: 256 * MIB },
  ])
  assert.deepEqual(maps.get(0x7f9a00000000), [{ node: 1, bytes: 4 * MIB }])
  assert.deepEqual(maps.get(0x7f9b00000000), [])
  assert.equal(maps.get(0x7f9c00000000), undefined)
  assert.equal(maps.size, 5)
})

test('mappings of one file add up', () => {
  const [one, other] = [parseNumaMaps(TEXT).get(0x55d0c0a00000), parseNumaMaps(TEXT).get(0x7f9900000000)]
  assert.deepEqual(addNodeBytes([one ?? [], other ?? []]), [
    { node: 0, bytes: 2 * MIB + 12 * KIB },
    { node: 1, bytes: 256 * MIB },
  ])
  assert.deepEqual(addNodeBytes([]), [])
})
