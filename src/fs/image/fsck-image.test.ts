import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chunkBlocksOf } from '../../stores/registry.ts'
import type { ByteString, Ino, ObjectId } from '../../values/ids.ts'
import type { Entry } from '../state/entry.ts'
import { State } from '../state/state.ts'
import { dumpImage } from './dump-image.ts'
import { checkImage } from './fsck-image.ts'
import { Image } from './image.ts'
import { geometryOf } from './image-format.ts'
import { EXPECTED, IDENTITY, SMALL_AREA_BYTES } from './testing/sample-image.ts'

const NOW = { seconds: 1_800_000_000, nanoseconds: 5 }
const ORIGIN = { unique: 7n, epoch: 2 }

function pool(): { area: Uint8Array; image: Image<State> } {
  const area = new Uint8Array(SMALL_AREA_BYTES)
  Image.format(area, IDENTITY, State.fresh(NOW))
  return { area, image: Image.open(area, EXPECTED, new State()) }
}

function root(image: Image<State>) {
  const inode = image.state.inodes.get(1 as Ino)
  assert.ok(inode)
  return inode
}

test('a sound image has no findings, and looking changes nothing', () => {
  const { area, image } = pool()
  image.commit(ORIGIN, [{ kind: 'inode', inode: { ...root(image), mode: 0o700 } }])
  const before = area.slice()
  assert.deepEqual(checkImage(area, new State(), chunkBlocksOf), [])
  dumpImage(area)
  assert.deepEqual(area, before)
})

test('each kind of damage is found where it is', () => {
  const { area, image } = pool()
  for (let mode = 0; mode < 200; mode++) {
    image.commit(ORIGIN, [{ kind: 'inode', inode: { ...root(image), mode } }])
  }
  const { slotOffsets, segmentOffsets } = geometryOf(area.length)
  const side = image.generation % 2 === 0 ? 0 : 1
  const findings = (offset: number) => {
    const damaged = area.slice()
    damaged[offset] = (damaged[offset] as number) ^ 0x10
    return checkImage(damaged, new State(), chunkBlocksOf).map(
      ({ severity, subject, message }) => `${severity} ${subject}: ${message}`,
    )
  }
  assert.match(findings(30).join(), /^error header: .*checksum/)
  assert.match(findings(slotOffsets[side] + 40).join(), /^error log: checkpoint \d+ fails its checksum/)
  assert.match(findings(slotOffsets[1 - side] as number).join(), /^warn checkpoint: the commit word/)
  assert.match(
    findings((slotOffsets[1 - side] as number) + 40).join(),
    /^warn checkpoint: checkpoint \d+ fails/,
  )
  assert.match(
    findings(segmentOffsets[side] + 60).join(),
    /^error log: .* offset 16: a record fails its checksum/,
  )
})

test('a state that contradicts itself is found', () => {
  const { area, image } = pool()
  const name = 'lost' as ByteString
  image.commit(ORIGIN, [{ kind: 'name', parent: 1 as Ino, name, ino: 44 as Ino, cookie: 3 }])
  const found = checkImage(area, new State(), chunkBlocksOf).filter(({ severity }) => severity === 'error')
  assert.ok(found.some(({ subject, message }) => subject === 'state' && message.includes('44')))
})

test('a torn record is no damage: the next mount mends it', () => {
  const { area } = pool()
  const { segmentOffsets } = geometryOf(area.length)
  area[segmentOffsets[1] + 16] = 1
  assert.deepEqual(checkImage(area, new State(), chunkBlocksOf), [
    { severity: 'ok', subject: 'log', message: 'log segment 1 ends in a record that was never acknowledged' },
  ])
  Image.open(area, EXPECTED, new State())
  assert.deepEqual(checkImage(area, new State(), chunkBlocksOf), [])
})

test('a dump shows all of it and survives JSON', () => {
  const { area, image } = pool()
  const value = Uint8Array.of(0, 255, 1)
  const name = 'user.x' as ByteString
  image.commit(ORIGIN, [{ kind: 'xattr', ino: 1 as Ino, name, value }])
  image.commit(ORIGIN, [{ kind: 'blocks', extent: { start: 3, count: 4 }, state: 'dirty' }])
  const dump = dumpImage(area)
  assert.deepEqual(JSON.parse(JSON.stringify(dump)).summary, {
    inodes: { directory: 1, file: 0, symlink: 0 },
    names: 0,
    xattrs: 1,
    ownedBlocks: 0,
    dirtyBlocks: 4,
    badBlocks: 0,
    frozen: false,
  })
  assert.equal(dump.header.uuid, '000102030405060708090a0b0c0d0e0f')
  assert.equal(dump.records.length, 2)
  assert.equal(dump.records[0]?.unique, '7')
  assert.ok(dump.entries.some((entry) => entry.kind === 'xattr' && entry.valueBase64 === 'AP8B'))
})

test('where ordinary files are kept apart, guest RAM among them is an error', () => {
  const area = new Uint8Array(SMALL_AREA_BYTES)
  const dax = { storeKind: 'dax', totalBlocks: 64 }
  Image.format(area, { ...IDENTITY, ...dax }, State.fresh(NOW))
  const image = Image.open(area, dax, new State())
  const file = (ino: number, start: number, guestRam: boolean): Entry[] => {
    const name = `f${ino}` as ByteString
    const object = ino as ObjectId
    const extents = [{ start, count: 1 }]
    const fields = { kind: 'file' as const, links: 1, sizeBytes: 2 ** 21, object, extents, guestRam }
    return [
      { kind: 'inode', inode: { ...root(image), ino: ino as Ino, ...fields } },
      { kind: 'name', parent: 1 as Ino, name, ino: ino as Ino, cookie: ino + 1 },
    ]
  }
  image.commit(ORIGIN, [
    { kind: 'pool', frozen: false, nextGeneration: 1, nextCookie: 9 },
    ...file(2, 0, true),
    ...file(3, 32, false),
  ])
  assert.deepEqual(checkImage(area, new State(), chunkBlocksOf), [])
  image.commit(ORIGIN, file(4, 31, false))
  assert.deepEqual(checkImage(area, new State(), chunkBlocksOf), [
    { severity: 'error', subject: 'state', message: 'inodes 2 and 4, guest RAM and not, share chunk 0' },
  ])
})
