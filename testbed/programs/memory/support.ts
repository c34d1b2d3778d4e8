/**
 * What the dax exercises share: waiting for a store's background work, patterns, and a pool's layout kept in
 * its own metadata.
 */
import assert from 'node:assert/strict'
import { waitReadable } from '../../../src/linux/descriptors.ts'
import type { CarveOutStore } from '../../../src/stores/carve-out/carve-out-store.ts'
import type { Extent, Placement } from '../../../src/stores/store.ts'
import type { ObjectId } from '../../../src/values/ids.ts'
import { Refusal, WAIT_FOR_STORE, Wait } from '../../../src/values/refusal.ts'

export const MIB = 2 ** 20
export const OWNER = { uid: 1000, gid: 1000, mode: 0o600 }
const TIMEOUT_MS = 60_000

/** As the server does it: calls `ask`, and again when background work has finished. */
export function settle<T>(store: CarveOutStore, ask: () => T | Wait): T {
  const deadline = performance.now() + TIMEOUT_MS
  for (;;) {
    const answer = ask()
    if (!(answer instanceof Wait)) return answer
    assert.ok(performance.now() < deadline, 'the store never finished')
    waitReadable(store.events.fd, 1000)
    store.events.drain()
  }
}

export function mustSettle<T>(store: CarveOutStore, ask: () => T | Refusal): T {
  const answer = settle(store, ask)
  if (answer instanceof Refusal) throw new Error(`the store answered ${answer}`)
  return answer
}

/** Waits until no process holds it, or the time limit. */
export function waitUnheld(store: CarveOutStore, memory: ObjectId): boolean {
  const deadline = performance.now() + TIMEOUT_MS
  while (performance.now() < deadline) {
    if (mustSettle(store, () => store.isHeld(memory)) === false) return true
    waitReadable(store.events.fd, 200)
  }
  return false
}

export function clear(store: CarveOutStore, extent: Extent): void {
  assert.equal(store.zeroer.start(extent), true)
  const done = mustSettle(store, () => {
    const [cleared] = store.zeroer.finished()
    return cleared ?? WAIT_FOR_STORE
  })
  assert.deepEqual(done, extent)
}

/** Bytes that differ for each block and each seed. */
export function pattern(seed: number, lengthBytes: number): Buffer {
  const words = new Uint32Array(lengthBytes / 4)
  for (let at = 0; at < words.length; at++) words[at] = (Math.imul(at, 2654435761) ^ seed) >>> 0
  return Buffer.from(words.buffer)
}

/**
 * What an image would have: here JSON in the second page, after a magic number that `probe` takes for an
 * image's.
 */
export type Known = Readonly<Record<string, { readonly memory: ObjectId; readonly placement: Placement }>>

export function remember(store: CarveOutStore, known: Known): void {
  const area = Buffer.from(store.metadataArea().buffer, store.metadataArea().byteOffset, 64 * 1024)
  const text = Buffer.from(JSON.stringify(known))
  area.writeUInt32LE(text.length, 4096)
  text.copy(area, 4100)
  area.write('GUESTMEM', 0, 'latin1')
}

export function recall(store: CarveOutStore): Known {
  const area = Buffer.from(store.metadataArea().buffer, store.metadataArea().byteOffset, 64 * 1024)
  const length = area.readUInt32LE(4096)
  return JSON.parse(area.toString('utf8', 4100, 4100 + length)) as Known
}
