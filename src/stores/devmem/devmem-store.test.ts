/**
 * The store on a file in place of physical memory: what it maps, what it zeroes, what it accepts as a pool.
 */
import assert from 'node:assert/strict'
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitReadable } from '../../linux/descriptors.ts'
import { EACCES, EINVAL, ENOENT, EPERM, type Errno } from '../../values/errno.ts'
import { WAIT_FOR_STORE, Wait } from '../../values/refusal.ts'
import { layOut } from '../carve-out/layout.ts'
import { BLOCK_BYTES } from '../store.ts'
import { openDevmemStore, probeRange, whyNot } from './open-devmem-store.ts'

const MIB = 2 ** 20
const START = 64 * MIB
const LAYOUT = layOut({ start: START, lengthBytes: 128 * MIB }, 'test')
const FOUND = { name: '0x4000000', layout: LAYOUT, nodes: [] }
function probeImage(bytes: Uint8Array) {
  const text = Buffer.from(bytes).toString('latin1', 0, 8)
  return text === 'GUESTMEM' ? 'image' : bytes.every((byte) => byte === 0) ? 'blank' : 'foreign'
}

function makeMemory(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'devmem-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'memory')
  const fd = openSync(path, 'w+')
  t.after(() => closeSync(fd))
  ftruncateSync(fd, 256 * MIB)
  const write = (at: number, text: string) => writeSync(fd, text, at)
  const read = (at: number, length: number) => {
    const into = Buffer.alloc(length)
    readSync(fd, into, 0, length, at)
    return into
  }
  // There are no processes, so none holds anything.
  writeFileSync(join(folder, 'stat'), 'processes 1\n')
  return { path, write, read, proc: folder }
}

/** As a server does it: asks again when something finished. */
function settle<T>(store: ReturnType<typeof openDevmemStore>, ask: () => T | Wait): T {
  for (let times = 0; times < 200; times++) {
    const answer = ask()
    if (!(answer instanceof Wait)) return answer
    waitReadable(store.events.fd, 1000)
    store.events.drain()
  }
  throw new Error('it waits for ever')
}

test('a range is blank, a pool, or holds other bytes, wherever in it they are', (t) => {
  const { path, write } = makeMemory(t)
  const probe = () => probeRange(FOUND, probeImage, path)
  assert.deepEqual(probe(), { content: 'zero' })
  write(START + 3 * BLOCK_BYTES, 'somebody was here')
  assert.deepEqual(probe(), { content: 'foreign', why: 'it holds data of another program, at 0x4600000' })
  write(START + 3 * BLOCK_BYTES, 'GUESTMEM'.padEnd(17, '\0'))
  const [kept] = [probe()]
  assert.match(
    kept.content === 'foreign' ? kept.why : '',
    /holds an image at 0x4600000, made when the region had another/,
  )
  write(FOUND.layout.metadata.start, 'GUESTMEM')
  assert.deepEqual(probe(), { content: 'ours' })
})

test('guest RAM is a window at its place; the server moves bytes of ordinary files; what is released is zeroed there', (t) => {
  const { path, read, write, proc } = makeMemory(t)
  write(START - 8, 'neighbour')
  write(START + 128 * MIB, 'neighbour')
  const store = openDevmemStore(FOUND, path, proc)
  assert.equal(store.ram.via, 'devmem')
  assert.deepEqual(store.descriptor.place, { start: START, lengthBytes: 128 * MIB })
  const ram = store.create()
  const placement = { sizeBytes: 2 * BLOCK_BYTES, extents: [{ start: 5, count: 2 }], guestRam: true }
  assert.equal(
    settle(store, () => store.resize(ram, placement)),
    undefined,
  )
  assert.deepEqual(store.ram.mapping(ram, placement), {
    via: 'devmem',
    path,
    offsetBytes: START + 5 * BLOCK_BYTES,
  })

  const notes = store.create()
  const file = { sizeBytes: 100, extents: [{ start: 33, count: 1 }], guestRam: false }
  assert.equal(
    settle(store, () => store.resize(notes, file)),
    undefined,
  )
  assert.equal(
    settle(store, () => store.data.write(notes, 3, Buffer.from('hello'))),
    5,
  )
  assert.equal(read(START + 33 * BLOCK_BYTES + 3, 5).toString(), 'hello')

  write(START + 5 * BLOCK_BYTES, 'secret')
  write(START + 7 * BLOCK_BYTES, 'other')
  assert.equal(store.zeroer.start({ start: 5, count: 2 }), true)
  assert.deepEqual(
    settle(store, () => store.zeroer.finished()[0] ?? WAIT_FOR_STORE),
    { start: 5, count: 2 },
  )
  assert.ok(read(START + 5 * BLOCK_BYTES, 2 * BLOCK_BYTES).every((byte) => byte === 0))
  assert.equal(read(START + 7 * BLOCK_BYTES, 5).toString(), 'other')

  store.metadataArea().set(Buffer.from('GUESTMEM'))
  assert.equal(read(FOUND.layout.metadata.start, 8).toString(), 'GUESTMEM')
  assert.equal(read(START - 8, 8).toString(), 'neighbou')
  assert.equal(read(START + 128 * MIB, 9).toString(), 'neighbour')
})

test('whether an object is held is answered anew each time', (t) => {
  const { path, proc } = makeMemory(t)
  const store = openDevmemStore(FOUND, path, proc)
  const ram = store.create()
  store.adopt(ram, { sizeBytes: BLOCK_BYTES, extents: [{ start: 0, count: 1 }], guestRam: true })
  for (let times = 0; times < 2; times++) {
    assert.equal(store.isHeld(ram), WAIT_FOR_STORE)
    assert.equal(
      settle(store, () => store.isHeld(ram)),
      false,
    )
  }
})

test('that no process held an object is valid only while the operation that asked can use it', async (t) => {
  const { path, proc } = makeMemory(t)
  const store = openDevmemStore(FOUND, path, proc)
  const ram = store.create()
  store.adopt(ram, { sizeBytes: BLOCK_BYTES, extents: [{ start: 0, count: 1 }], guestRam: true })
  const look = () => {
    assert.equal(store.isHeld(ram), WAIT_FOR_STORE)
    assert.ok(waitReadable(store.events.fd, 2000))
    store.events.drain()
  }
  look()
  await sleep(150)
  look()
  // It has other blocks by now, which were not looked at.
  const moved = { sizeBytes: BLOCK_BYTES, extents: [{ start: 8, count: 1 }], guestRam: true }
  assert.equal(store.resize(ram, moved), undefined)
  look()
  assert.equal(store.isHeld(ram), false)
  assert.equal(store.isHeld(ram), WAIT_FOR_STORE)
  assert.equal(store.resize(ram, { ...moved, extents: [{ start: 9, count: 1 }] }), undefined)
  assert.ok(waitReadable(store.events.fd, 2000))
  store.events.drain()
  look()
})

test('each refusal of the kernel is one line that says what to do', () => {
  const why = (errno: Errno, lockdown?: string) => whyNot(errno, '/dev/mem', lockdown ?? 'none')
  assert.match(why(ENOENT), /no CONFIG_DEVMEM/)
  assert.match(why(EACCES), /sudo/)
  assert.match(why(EPERM), /CONFIG_STRICT_DEVMEM/)
  assert.match(why(EPERM, 'integrity'), /locked down \(integrity\).*store=dax/)
  assert.match(why(EINVAL), /cannot be mapped: EINVAL/)
})
