/**
 * The dax store's exercises on a machine with a carve-out of its own: `exercise.ts STEP`, in the order of
 * `STEPS`, each a process of its own. The testbed's scenario dax-store runs them, with a kexec before the
 * last ones. Prints its results as JSON; a failed assertion ends it with an error.
 */
import assert from 'node:assert/strict'
import { existsSync, statSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { probe } from '../../../src/fs/image/header.ts'
import { readDaxRegions } from '../../../src/linux/dax.ts'
import { bindDaxDevice, sameRanges, unbindDaxDevice } from '../../../src/linux/dax-device.ts'
import { waitReadable } from '../../../src/linux/descriptors.ts'
import { findHolders } from '../../../src/linux/holders.ts'
import { rangesOf } from '../../../src/stores/carve-out/layout.ts'
import { openDaxStore } from '../../../src/stores/dax/open-dax-store.ts'
import { probeRegion } from '../../../src/stores/dax/probe.ts'
import { findDaxRegion } from '../../../src/stores/dax/region.ts'
import { BLOCK_BYTES, CHUNK_BLOCKS, type Placement } from '../../../src/stores/store.ts'
import { UsageError } from '../../../src/values/errors.ts'
import type { ObjectId } from '../../../src/values/ids.ts'
import { startHolder } from './holder.ts'
import { clear, MIB, mustSettle, OWNER, pattern, recall, remember, settle, waitUnheld } from './support.ts'

const POOL = 'exercise'
const RAM: Placement = {
  sizeBytes: 12 * MIB,
  extents: [
    { start: 4, count: 2 },
    { start: 10, count: 4 },
  ],
  guestRam: true,
}
const SEEDS = { notes: 7, ram: 11, kept: 13, junk: 99 }

const open = () => openDaxStore({ pool: POOL })
const instanceNames = () =>
  readDaxRegions()[0]?.devices.map(({ name, sizeBytes }) => `${name}=${sizeBytes / MIB}M`)

/** Blocks of the pool's last whole chunk. */
const chunkStart = (totalBlocks: number): number =>
  (Math.floor(totalBlocks / CHUNK_BLOCKS) - 1) * CHUNK_BLOCKS

/**
 * Before the first pool: the store refuses a busy region and one with data, and leaves its devices as they
 * were.
 */
async function refusals(): Promise<object> {
  const found = findDaxRegion(undefined)
  const [whole] = found.region.devices
  assert.ok(whole)
  assert.equal(bindDaxDevice(whole), undefined)
  const before = found.region.sizeBytes

  const path = `/dev/${whole.name}`
  const holder = await startHolder(path, 2 * MIB, SEEDS.junk)
  assert.throws(
    () => probeRegion(findDaxRegion(undefined), probe),
    (error: Error) => {
      assert.ok(error instanceof UsageError)
      assert.match(error.message, /in use by .+ \(process \d+\)/)
      return true
    },
  )
  await holder.kill()

  const content = probeRegion(findDaxRegion(undefined), probe)
  assert.equal(content.content, 'foreign')
  const after = readDaxRegions()[0]?.devices
  assert.deepEqual(
    after?.map(({ name, sizeBytes, driver }) => ({ name, sizeBytes, driver })),
    [{ name: whole.name, sizeBytes: before, driver: 'device_dax' }],
  )

  unbindDaxDevice(whole)
  return { foreign: content }
}

/** Zeroes what `refusals` wrote, by the store itself, so that the region is unused. */
async function erase(): Promise<object> {
  const store = open()
  const startedMs = performance.now()
  clear(store, { start: 0, count: 64 })
  const ms = performance.now() - startedMs
  return { 'cleared MiB/s': Math.round(128 / (ms / 1000)), devices: instanceNames() }
}

/** An ordinary file, guest RAM in two extents, a guest that maps it, and the end of each. */
async function live(): Promise<object> {
  assert.deepEqual(probeRegion(findDaxRegion(undefined), probe), { content: 'zero' })
  const store = open()
  const { layout } = findDaxRegion(undefined)
  const first = chunkStart(store.descriptor.totalBlocks)

  // Ordinary: grows over two blocks, reads zero where nothing was written, also after shrinking and growing
  // again.
  const notes = store.create()
  const small = { sizeBytes: 3 * MIB, extents: [{ start: first + 5, count: 2 }], guestRam: false }
  mustSettle(store, () => store.resize(notes, small))
  const bytes = pattern(SEEDS.notes, small.sizeBytes)
  assert.equal(
    mustSettle(store, () => store.data.write(notes, 0, bytes)),
    bytes.length,
  )
  assert.ok(read(store, notes, bytes.length).equals(bytes))
  assert.equal(
    store.resize(notes, { ...small, sizeBytes: MIB, extents: [{ start: first + 5, count: 1 }] }),
    undefined,
  )
  mustSettle(store, () =>
    store.resize(notes, { ...small, sizeBytes: 2 * MIB, extents: [{ start: first + 5, count: 1 }] }),
  )
  const again = read(store, notes, 2 * MIB)
  assert.ok(again.subarray(0, MIB).equals(bytes.subarray(0, MIB)))
  assert.ok(again.subarray(MIB).every((byte) => byte === 0))
  mustSettle(store, () => store.data.punchHole(notes, 4096, 4096))
  assert.ok(
    read(store, notes, 8192)
      .subarray(4096)
      .every((byte) => byte === 0),
  )

  // Guest RAM: the node belongs to the file's owner, the device has exactly the extents.
  const ram = store.create()
  assert.equal(store.resize(ram, RAM), undefined)
  const publishedMs = performance.now()
  assert.equal(
    settle(store, () => store.ram.publish(ram, RAM, OWNER)),
    undefined,
  )
  const publishMs = performance.now() - publishedMs
  const node = store.ram.path(ram)
  assert.deepEqual(store.ram.owner(ram) && { ...store.ram.owner(ram) }, { ...store.ram.owner(ram), ...OWNER })
  assert.equal(statSync(node).isCharacterDevice(), true)
  const ranges = rangesOf(layout, RAM.extents)
  assert.ok(readDaxRegions()[0]?.devices.some(({ mappings }) => sameRanges(mappings, ranges)))

  const guest = await startHolder(node, RAM.sizeBytes, SEEDS.ram)
  assert.equal(guest.crc, crc32(pattern(SEEDS.ram, RAM.sizeBytes)))
  assert.equal(
    mustSettle(store, () => store.isHeld(ram)),
    true,
  )
  assert.equal(existsSync(node), false)
  assert.equal(store.holder(ram)?.pid, guest.pid)
  // Its blocks are still in use: they are not zeroed, and no other file gets them.
  const thief = store.create()
  assert.notEqual(
    settle(store, () => store.ram.publish(thief, { ...RAM, extents: [{ start: 5, count: 1 }] }, OWNER)),
    undefined,
  )
  store.release(thief)
  await guest.kill()
  assert.equal(waitUnheld(store, ram), true)
  assert.ok(!readDaxRegions()[0]?.devices.some(({ mappings }) => sameRanges(mappings, ranges)))
  store.release(ram)

  // Zeroed before another file gets the blocks.
  for (const extent of RAM.extents) clear(store, extent)
  const next = store.create()
  assert.equal(
    settle(store, () => store.ram.publish(next, RAM, OWNER)),
    undefined,
  )
  const other = await startHolder(store.ram.path(next), RAM.sizeBytes)
  assert.equal(other.crc, crc32(new Uint8Array(RAM.sizeBytes)))
  await other.kill()
  assert.equal(waitUnheld(store, next), true)
  store.release(next)

  // Guest RAM may take a data chunk that no file uses any more, and none that a file uses.
  const wide = { sizeBytes: 4 * BLOCK_BYTES, extents: [{ start: first + 8, count: 4 }], guestRam: true }
  const late = store.create()
  assert.equal(settle(store, () => store.ram.publish(late, wide, OWNER))?.name, 'EBUSY')
  store.release(notes)
  assert.equal(
    settle(store, () => store.ram.publish(late, wide, OWNER)),
    undefined,
  )
  assert.equal(waitUnheld(store, late), true)
  store.release(late)
  clear(store, { start: first, count: CHUNK_BLOCKS })
  assert.deepEqual([...store.objects()], [])
  return { publishMs: Math.round(publishMs), devices: instanceNames() }
}

/** A server that dies while a guest maps its RAM, a file has been written, and zeroing is under way. */
async function crash(): Promise<object> {
  const store = open()
  const first = chunkStart(store.descriptor.totalBlocks)
  const ram = store.create()
  assert.equal(
    settle(store, () => store.ram.publish(ram, RAM, OWNER)),
    undefined,
  )
  const guest = await startHolder(store.ram.path(ram), RAM.sizeBytes, SEEDS.kept)
  const notes = store.create()
  const placement = { sizeBytes: 3 * MIB, extents: [{ start: first + 5, count: 2 }], guestRam: false }
  mustSettle(store, () => store.resize(notes, placement))
  mustSettle(store, () => store.data.write(notes, 0, pattern(SEEDS.notes, placement.sizeBytes)))
  remember(store, { ram: { memory: ram, placement: RAM }, notes: { memory: notes, placement } })
  assert.equal(store.zeroer.start({ start: 32, count: 224 }), true)
  while (store.zeroer.progressBytes === 0) waitReadable(store.events.fd, 10)
  process.stdout.write(`${JSON.stringify({ guest: guest.pid, devices: instanceNames() })}\n`)
  process.kill(process.pid, 'SIGKILL')
  return {}
}

/** Its successor finds everything, and the guest notices nothing. */
async function adopt(guestPid: string): Promise<object> {
  assert.deepEqual(probeRegion(findDaxRegion(undefined), probe), { content: 'ours' })
  const before = instanceNames()
  const store = open()
  const known = recall(store)
  const { ram, notes } = known
  assert.ok(ram && notes)
  const node = store.ram.path(ram.memory)
  const number = statSync(node).rdev
  for (const { memory, placement } of Object.values(known)) store.adopt(memory, placement)
  assert.deepEqual([...store.objects()].toSorted(), [ram.memory, notes.memory].toSorted())
  assert.ok(read(store, notes.memory, notes.placement.sizeBytes).equals(pattern(SEEDS.notes, 3 * MIB)))
  assert.equal(
    settle(store, () => store.ram.publish(ram.memory, ram.placement, OWNER)),
    undefined,
  )
  assert.equal(statSync(node).rdev, number, 'the device is the same as before the crash')
  assert.equal(findHolders(new Set([`${number >> 8}:${number & 255}` as const])).size, 1)
  clear(store, { start: 32, count: 224 })
  assert.equal(
    mustSettle(store, () => store.isHeld(ram.memory)),
    true,
  )
  assert.equal(String(store.holder(ram.memory)?.pid), guestPid)
  assert.equal(
    settle(store, () => store.ram.publish(ram.memory, ram.placement, OWNER)),
    undefined,
  )
  assert.ok(existsSync(node))
  return { found: before, kept: instanceNames() }
}

/** After a kexec: the region is one device again, with the same bytes. */
async function afterKexec(): Promise<object> {
  const found = instanceNames()
  const startedMs = performance.now()
  assert.deepEqual(probeRegion(findDaxRegion(undefined), probe), { content: 'ours' })
  const store = open()
  const openedMs = performance.now()
  const known = recall(store)
  const { ram, notes } = known
  assert.ok(ram && notes)
  for (const { memory, placement } of Object.values(known)) store.adopt(memory, placement)
  assert.equal(store.isHeld(ram.memory), false)
  assert.equal(
    settle(store, () => store.ram.publish(ram.memory, ram.placement, OWNER)),
    undefined,
  )
  const publishedMs = performance.now()
  const guest = await startHolder(store.ram.path(ram.memory), ram.placement.sizeBytes)
  assert.equal(guest.crc, crc32(pattern(SEEDS.kept, ram.placement.sizeBytes)))
  await guest.kill()
  assert.ok(read(store, notes.memory, notes.placement.sizeBytes).equals(pattern(SEEDS.notes, 3 * MIB)))
  return {
    found,
    'open ms': Math.round(openedMs - startedMs),
    'publish ms': Math.round(publishedMs - openedMs),
    devices: instanceNames(),
  }
}

function read(store: ReturnType<typeof open>, memory: ObjectId, lengthBytes: number): Buffer {
  const into = Buffer.alloc(lengthBytes)
  assert.equal(
    mustSettle(store, () => store.data.read(memory, 0, into)),
    lengthBytes,
  )
  return into
}

const STEPS: Readonly<Record<string, (word: string) => Promise<object>>> = {
  refusals,
  erase,
  live,
  crash,
  adopt,
  'after-kexec': afterKexec,
}

const [step = '', word = ''] = process.argv.slice(2)
const run = STEPS[step]
if (run === undefined) throw new Error(`no step ${step}: there are ${Object.keys(STEPS).join(', ')}`)
process.stdout.write(`${JSON.stringify(await run(word))}\n`)
process.exit(0)
