/** Tests of the wait for what saved guests need of their host, without a region and without a QEMU. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EarlyResult } from '../liveupdate/guest/early-result.ts'
import type { Lacks } from './lacks.ts'
import type { SavedGuest } from './saved-guests.ts'
import { startWhenReady } from './start-when-ready.ts'

const saved = (name: string) => ({ definition: { name } }) as SavedGuest
const nameOf = ({ definition: { name } }: SavedGuest): string => name
const RESULT: EarlyResult = { steps: [], unset: [] }
const NOTHING: Lacks = { soon: [], late: [] }
const SOON: Lacks = { soon: ['/srv is not mounted'], late: [] }
const LATE: Lacks = { soon: [], late: ['its tap is not there'] }

/** `lacking`: of each guest at its n-th look; the last one counts from then on. */
function bench(lacking: Readonly<Record<string, readonly Lacks[]>>, goes: () => Promise<unknown> = sleep) {
  const looks = new Map<string, number>()
  const batches: string[][] = []
  const lacks = (guest: SavedGuest): Lacks => {
    const [name, all] = [nameOf(guest), lacking[nameOf(guest)] ?? []]
    const look = looks.get(name) ?? 0
    looks.set(name, look + 1)
    return all[Math.min(look, all.length - 1)] ?? NOTHING
  }
  const start = async (guests: readonly SavedGuest[]) => {
    batches.push(guests.map(nameOf))
    return new Map(guests.map((guest) => [nameOf(guest), goes().then(() => RESULT)] as const))
  }
  const run = (waitMs: number) => startWhenReady(Object.keys(lacking).map(saved), { lacks, start, waitMs })
  return { run, batches, looks }
}

test('guests that lack nothing start at once, in their order, and a later one as soon as it does', async () => {
  const { run, batches } = bench({ a: [NOTHING], b: [SOON, SOON, NOTHING], c: [NOTHING] })
  const { started, left } = await run(60_000)
  assert.deepEqual(batches, [['a', 'c'], ['b']])
  assert.deepEqual([[...started.keys()], left.size], [['a', 'c', 'b'], 0])
  assert.equal(await started.get('b'), RESULT)
})

test('the limit ends the wait, and what is lacking then is named', async () => {
  const { run, batches } = bench({ a: [SOON], b: [SOON, NOTHING] })
  const { started, left } = await run(120)
  assert.deepEqual([batches, [...started.keys()]], [[['b']], ['b']])
  assert.deepEqual([...left], [['a', '/srv is not mounted']])
})

test('what may come late is not waited for by itself', async () => {
  const { run, looks, batches } = bench({ a: [LATE], b: [LATE] })
  const { started, left } = await run(60_000)
  assert.deepEqual([started.size, batches.length, looks.get('a')], [0, 0, 1])
  assert.deepEqual([...left.values()], ['its tap is not there', 'its tap is not there'])
})

test('it is looked for as long as another guest is on its way, or lacks what comes soon', async () => {
  const going = Promise.withResolvers<void>()
  const onItsWay = bench({ a: [NOTHING], b: [LATE, LATE, NOTHING] }, () => going.promise)
  assert.deepEqual([...(await onItsWay.run(60_000)).started.keys()], ['a', 'b'])
  going.resolve()
  const waitedFor = bench({ a: [SOON, SOON, NOTHING], b: [LATE, NOTHING] })
  assert.deepEqual([...(await waitedFor.run(60_000)).started.keys()], ['b', 'a'])

  // Once `a` has gone on, the early start does not wait for `b`.
  const gone = bench({ a: [NOTHING], b: [LATE] }, () => Promise.resolve())
  const { left } = await gone.run(60_000)
  assert.deepEqual([...left.keys()], ['b'])
})

test('a guest that lacks both is named with what is missing for longest', async () => {
  const both = { soon: SOON.soon, late: LATE.late }
  assert.deepEqual([...(await bench({ a: [both] }).run(60_000)).left.values()], LATE.late)
})
