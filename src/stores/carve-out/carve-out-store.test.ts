import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EBUSY, EINVAL, ENOSPC, ENXIO, EROFS } from '../../values/errno.ts'
import { WAIT_FOR_STORE } from '../../values/refusal.ts'
import { BLOCK_BYTES, CHUNK_BLOCKS } from '../store.ts'
import { CarveOutFixture, OWNER, RAM } from './testing/carve-out-fixture.ts'

test('following the link makes the device and its node, once', () => {
  const { store, nodes, region, worker } = new CarveOutFixture()
  const object = store.create()
  assert.equal(store.ram.publish(object, RAM, OWNER), WAIT_FOR_STORE)
  assert.equal(store.ram.publish(object, RAM, OWNER), WAIT_FOR_STORE)
  assert.equal(nodes.nodes.size, 0, 'no node before its device')
  worker.work()
  store.events.drain()
  assert.equal(store.ram.publish(object, RAM, OWNER), undefined)
  assert.deepEqual(region.trace, ['make 2+1 6+2'])
  assert.deepEqual(store.ram.owner(object), { ...OWNER, device: '250:1' })
  assert.equal(store.ram.path(object), '/fake/1')
  assert.deepEqual(store.ram.mapping(object, { ...RAM, guestRam: false }), { via: 'none' })
  assert.deepEqual(store.ram.mapping(object, RAM), {
    via: 'dax-node',
    path: '/fake/1',
    device: { major: 250, minor: 1 },
  })
  assert.equal(store.ram.publish(object, { ...RAM, sizeBytes: 0, extents: [] }, OWNER), EINVAL)
})

test('a node that devtmpfs has no room for is an answer, and made the next time', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  fixture.nodes.refusals.push(ENOSPC)
  assert.equal(fixture.publish(object), ENOSPC)
  assert.equal(fixture.publish(object), undefined)
  assert.ok(fixture.nodes.nodes.has(object))
})

test('a node that cannot be given another owner keeps its own, and the caller gets the errno', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  fixture.publish(object)
  fixture.nodes.refusals.push(ENOSPC)
  assert.equal(fixture.store.ram.own(object, { ...OWNER, mode: 0o666 }), ENOSPC)
  assert.equal(fixture.ownerOf(object)?.mode, OWNER.mode)
  assert.equal(fixture.store.ram.own(object, { ...OWNER, mode: 0o640 }), undefined)
  assert.equal(fixture.ownerOf(object)?.mode, 0o640)
})

test('a node that cannot be removed keeps its device: a process may open it', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  fixture.publish(object)
  fixture.nodes.removals.push(EROFS)
  assert.equal(fixture.isHeld(object), true)
  assert.equal(fixture.region.instances.size, 1)
  assert.equal(fixture.isHeld(object), false, 'it is tried again')
  assert.equal(fixture.region.instances.size, 0)
})

test('a device of gigantic pages is made where they were asked for, and nowhere else', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  assert.equal(fixture.publish(object, { ...RAM, gigantic: true }), undefined)
  fixture.publish(fixture.store.create(), { ...RAM, extents: [{ start: 12, count: 2 }] })
  assert.deepEqual(fixture.region.trace, ['make gigantic 2+1 6+2', 'make 12+2'])
})

test('a node that is there keeps its owner, one that was removed is made again', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  fixture.publish(object)
  fixture.nodes.make(object, '250:1', { ...OWNER, uid: 77 })
  fixture.publish(object)
  assert.equal(fixture.ownerOf(object)?.uid, 77)
  fixture.nodes.remove(object)
  assert.equal(fixture.store.ram.owner(object), undefined)
  fixture.publish(object)
  assert.equal(fixture.ownerOf(object)?.uid, OWNER.uid)
})

test('an object is held until no process maps it; unpublished from the first question on', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  assert.equal(fixture.isHeld(object), false, 'never published')
  fixture.publish(object)
  fixture.region.held.add('250:1')
  assert.equal(fixture.store.isHeld(object), WAIT_FOR_STORE)
  assert.equal(fixture.nodes.nodes.size, 0)
  assert.equal(fixture.isHeld(object), true)
  assert.deepEqual(fixture.store.holder(object), { pid: 42, program: 'guest' })
  fixture.region.held.clear()
  assert.equal(fixture.store.isHeld(object), true, 'it was looked at just now')
  assert.equal(fixture.region.instances.size, 1)
})

test('the device of an object that no process maps is destroyed at the first question', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  fixture.publish(object)
  assert.equal(fixture.isHeld(object), false)
  assert.equal(fixture.region.instances.size, 0)
  fixture.store.release(object)
  assert.deepEqual([...fixture.store.objects()], [])
})

test('a file that is deleted while its device is made leaves no device', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  assert.equal(fixture.store.ram.publish(object, RAM, OWNER), WAIT_FOR_STORE)
  fixture.store.release(object)
  for (let round = 0; round < 3; round++) {
    fixture.worker.work()
    fixture.store.events.drain()
  }
  assert.equal(fixture.region.instances.size, 0)
  assert.equal(fixture.nodes.nodes.size, 0)
})

test('a successor finds a published object by its device, and leaves it alone', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  fixture.publish(object)
  fixture.region.held.add('250:1')
  fixture.restart()
  fixture.store.adopt(object, RAM)
  assert.deepEqual([...fixture.store.objects()], [object])
  assert.equal(fixture.publish(object), undefined)
  assert.deepEqual(fixture.region.trace, ['make 2+1 6+2'])
  assert.equal(fixture.isHeld(object), true)
  assert.ok(fixture.store.create() > object, 'numbers are not used again')
})

test('a successor releases what its predecessor published for no file', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  fixture.publish(object)
  fixture.restart()
  assert.deepEqual([...fixture.store.objects()], [object])
  fixture.store.release(object)
  fixture.worker.work()
  assert.equal(fixture.region.instances.size, 0)
})

test('a device that differs from the image loses its node, and is removed once no process holds it', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  fixture.publish(object)
  fixture.restart()
  const smaller = { ...RAM, sizeBytes: BLOCK_BYTES, extents: [{ start: 2, count: 1 }] }
  fixture.store.adopt(object, smaller)
  assert.equal(fixture.nodes.nodes.size, 0)
  fixture.region.held.add('250:1')
  assert.equal(fixture.publish(object, smaller), EBUSY)
  fixture.region.held.clear()
  fixture.restart()
  fixture.store.adopt(object, smaller)
  assert.equal(fixture.publish(object, smaller), undefined)
  assert.deepEqual(fixture.region.trace, ['make 2+1 6+2', 'destroy 2+1 6+2', 'make 2+1'])
})

test('an orphan that is still mapped is held after a restart, although no node leads to it', () => {
  const fixture = new CarveOutFixture()
  const object = fixture.store.create()
  fixture.publish(object)
  fixture.region.held.add('250:1')
  assert.equal(fixture.isHeld(object), true)
  fixture.restart()
  fixture.store.adopt(object, RAM)
  assert.equal(fixture.isHeld(object), true)
  fixture.kexec()
  fixture.store.adopt(object, RAM)
  assert.equal(fixture.isHeld(object), false)
})

test('guest RAM gets blocks of a data chunk only when no file has one there', () => {
  const fixture = new CarveOutFixture()
  const file = fixture.store.create()
  const first = CHUNK_BLOCKS
  const placement = { sizeBytes: 10, extents: [{ start: first, count: 1 }], guestRam: false }
  assert.equal(
    fixture.settle(() => fixture.store.resize(file, placement)),
    undefined,
  )
  const ram = { ...RAM, extents: [{ start: first + 4, count: 3 }] }
  const object = fixture.store.create()
  assert.equal(fixture.publish(object, ram), EBUSY)
  fixture.store.release(file)
  assert.equal(fixture.publish(object, ram), undefined)
  assert.deepEqual(fixture.region.trace, ['make 32+32', 'destroy 32+32', 'make 36+3'])
})

test('zeroing takes one extent at a time and reports when it is done', () => {
  const fixture = new CarveOutFixture()
  fixture.region.fill(0, 8, 0xaa)
  const { zeroer, events } = fixture.store
  assert.equal(zeroer.start({ start: 2, count: 3 }), true)
  assert.equal(zeroer.start({ start: 6, count: 1 }), false)
  assert.deepEqual(zeroer.finished(), [])
  fixture.worker.work()
  events.drain()
  assert.deepEqual(zeroer.finished(), [{ start: 2, count: 3 }])
  assert.deepEqual(zeroer.finished(), [])
  assert.ok(
    fixture.region.isAll(2, 3, 0) && fixture.region.isAll(0, 2, 0xaa) && fixture.region.isAll(5, 3, 0xaa),
  )
  assert.equal(zeroer.start({ start: 6, count: 1 }), true)
})

test('seek finds data everywhere and the hole at the end', () => {
  const fixture = new CarveOutFixture()
  const file = fixture.store.create()
  fixture.settle(() =>
    fixture.store.resize(file, { sizeBytes: 10, extents: [{ start: 40, count: 1 }], guestRam: false }),
  )
  assert.equal(fixture.store.data.seek(file, 3, 3), 3)
  assert.equal(fixture.store.data.seek(file, 3, 4), 10)
  assert.equal(fixture.store.data.seek(file, 10, 3), ENXIO)
})
