import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EBUSY, EINVAL, ENOSPC, ENXIO, EROFS } from '../../values/errno.ts'
import { WAIT_FOR_STORE } from '../../values/refusal.ts'
import { BLOCK_BYTES, CHUNK_BLOCKS } from '../store.ts'
import { CarveOutWorld, OWNER, RAM } from './testing/carve-out-world.ts'

test('following the link makes the device and its node, once', () => {
  const { store, nodes, region, worker } = new CarveOutWorld()
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
  const world = new CarveOutWorld()
  const object = world.store.create()
  world.nodes.refusals.push(ENOSPC)
  assert.equal(world.publish(object), ENOSPC)
  assert.equal(world.publish(object), undefined)
  assert.ok(world.nodes.nodes.has(object))
})

test('a node that cannot be given another owner keeps its own, and says so', () => {
  const world = new CarveOutWorld()
  const object = world.store.create()
  world.publish(object)
  world.nodes.refusals.push(ENOSPC)
  assert.equal(world.store.ram.own(object, { ...OWNER, mode: 0o666 }), ENOSPC)
  assert.equal(world.ownerOf(object)?.mode, OWNER.mode)
  assert.equal(world.store.ram.own(object, { ...OWNER, mode: 0o640 }), undefined)
  assert.equal(world.ownerOf(object)?.mode, 0o640)
})

test('a node that cannot be removed keeps its device: a process may open it', () => {
  const world = new CarveOutWorld()
  const object = world.store.create()
  world.publish(object)
  world.nodes.removals.push(EROFS)
  assert.equal(world.isHeld(object), true)
  assert.equal(world.region.instances.size, 1)
  assert.equal(world.isHeld(object), false, 'it is tried again')
  assert.equal(world.region.instances.size, 0)
})

test('a device of gigantic pages is made where they were asked for, and nowhere else', () => {
  const world = new CarveOutWorld()
  const object = world.store.create()
  assert.equal(world.publish(object, { ...RAM, gigantic: true }), undefined)
  world.publish(world.store.create(), { ...RAM, extents: [{ start: 12, count: 2 }] })
  assert.deepEqual(world.region.trace, ['make gigantic 2+1 6+2', 'make 12+2'])
})

test('a node that is there keeps its owner, one that was taken away is made again', () => {
  const world = new CarveOutWorld()
  const object = world.store.create()
  world.publish(object)
  world.nodes.make(object, '250:1', { ...OWNER, uid: 77 })
  world.publish(object)
  assert.equal(world.ownerOf(object)?.uid, 77)
  world.nodes.remove(object)
  assert.equal(world.store.ram.owner(object), undefined)
  world.publish(object)
  assert.equal(world.ownerOf(object)?.uid, OWNER.uid)
})

test('an object is held until no process maps it; unpublished from the first question on', () => {
  const world = new CarveOutWorld()
  const object = world.store.create()
  assert.equal(world.isHeld(object), false, 'never published')
  world.publish(object)
  world.region.held.add('250:1')
  assert.equal(world.store.isHeld(object), WAIT_FOR_STORE)
  assert.equal(world.nodes.nodes.size, 0)
  assert.equal(world.isHeld(object), true)
  assert.deepEqual(world.store.holder(object), { pid: 42, program: 'guest' })
  world.region.held.clear()
  assert.equal(world.store.isHeld(object), true, 'it was looked at just now')
  assert.equal(world.region.instances.size, 1)
})

test('what no process maps is taken apart at the first question', () => {
  const world = new CarveOutWorld()
  const object = world.store.create()
  world.publish(object)
  assert.equal(world.isHeld(object), false)
  assert.equal(world.region.instances.size, 0)
  world.store.release(object)
  assert.deepEqual([...world.store.objects()], [])
})

test('a file that goes while its device is made leaves no device', () => {
  const world = new CarveOutWorld()
  const object = world.store.create()
  assert.equal(world.store.ram.publish(object, RAM, OWNER), WAIT_FOR_STORE)
  world.store.release(object)
  for (let round = 0; round < 3; round++) {
    world.worker.work()
    world.store.events.drain()
  }
  assert.equal(world.region.instances.size, 0)
  assert.equal(world.nodes.nodes.size, 0)
})

test('a successor knows a published object by its device, and leaves it alone', () => {
  const world = new CarveOutWorld()
  const object = world.store.create()
  world.publish(object)
  world.region.held.add('250:1')
  world.restart()
  world.store.adopt(object, RAM)
  assert.deepEqual([...world.store.objects()], [object])
  assert.equal(world.publish(object), undefined)
  assert.deepEqual(world.region.trace, ['make 2+1 6+2'])
  assert.equal(world.isHeld(object), true)
  assert.ok(world.store.create() > object, 'numbers are not used again')
})

test('a successor releases what its predecessor published for no file', () => {
  const world = new CarveOutWorld()
  const object = world.store.create()
  world.publish(object)
  world.restart()
  assert.deepEqual([...world.store.objects()], [object])
  world.store.release(object)
  world.worker.work()
  assert.equal(world.region.instances.size, 0)
})

test('a device that differs from the image loses its node, and is removed once no process holds it', () => {
  const world = new CarveOutWorld()
  const object = world.store.create()
  world.publish(object)
  world.restart()
  const smaller = { ...RAM, sizeBytes: BLOCK_BYTES, extents: [{ start: 2, count: 1 }] }
  world.store.adopt(object, smaller)
  assert.equal(world.nodes.nodes.size, 0)
  world.region.held.add('250:1')
  assert.equal(world.publish(object, smaller), EBUSY)
  world.region.held.clear()
  world.restart()
  world.store.adopt(object, smaller)
  assert.equal(world.publish(object, smaller), undefined)
  assert.deepEqual(world.region.trace, ['make 2+1 6+2', 'destroy 2+1 6+2', 'make 2+1'])
})

test('an orphan that is still mapped is held after a restart, although no node leads to it', () => {
  const world = new CarveOutWorld()
  const object = world.store.create()
  world.publish(object)
  world.region.held.add('250:1')
  assert.equal(world.isHeld(object), true)
  world.restart()
  world.store.adopt(object, RAM)
  assert.equal(world.isHeld(object), true)
  world.kexec()
  world.store.adopt(object, RAM)
  assert.equal(world.isHeld(object), false)
})

test('guest RAM gets blocks of a data chunk only when no file has one there', () => {
  const world = new CarveOutWorld()
  const file = world.store.create()
  const first = CHUNK_BLOCKS
  const placement = { sizeBytes: 10, extents: [{ start: first, count: 1 }], guestRam: false }
  assert.equal(
    world.settle(() => world.store.resize(file, placement)),
    undefined,
  )
  const ram = { ...RAM, extents: [{ start: first + 4, count: 3 }] }
  const object = world.store.create()
  assert.equal(world.publish(object, ram), EBUSY)
  world.store.release(file)
  assert.equal(world.publish(object, ram), undefined)
  assert.deepEqual(world.region.trace, ['make 32+32', 'destroy 32+32', 'make 36+3'])
})

test('zeroing takes one extent at a time and tells when it is done', () => {
  const world = new CarveOutWorld()
  world.region.fill(0, 8, 0xaa)
  const { zeroer, events } = world.store
  assert.equal(zeroer.start({ start: 2, count: 3 }), true)
  assert.equal(zeroer.start({ start: 6, count: 1 }), false)
  assert.deepEqual(zeroer.finished(), [])
  world.worker.work()
  events.drain()
  assert.deepEqual(zeroer.finished(), [{ start: 2, count: 3 }])
  assert.deepEqual(zeroer.finished(), [])
  assert.ok(world.region.isAll(2, 3, 0) && world.region.isAll(0, 2, 0xaa) && world.region.isAll(5, 3, 0xaa))
  assert.equal(zeroer.start({ start: 6, count: 1 }), true)
})

test('seek finds data everywhere and the hole at the end', () => {
  const world = new CarveOutWorld()
  const file = world.store.create()
  world.settle(() =>
    world.store.resize(file, { sizeBytes: 10, extents: [{ start: 40, count: 1 }], guestRam: false }),
  )
  assert.equal(world.store.data.seek(file, 3, 3), 3)
  assert.equal(world.store.data.seek(file, 3, 4), 10)
  assert.equal(world.store.data.seek(file, 10, 3), ENXIO)
})
