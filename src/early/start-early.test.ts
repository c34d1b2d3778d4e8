/** Tests of the order in which saved guests are started, without a region and without a QEMU. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EarlyGuest } from './early-guest.ts'
import type { SavedGuest } from './saved-guests.ts'
import { startEach } from './start-early.ts'

const saved = (name: string) => ({ definition: { name } }) as SavedGuest
const nameOf = ({ definition: { name } }: SavedGuest): string => name
const GUESTS = ['a', 'b', 'c'].map(saved)
const RESULT = { steps: [], unset: [] }

test("each guest's QEMU is started before the RAM of the next one is made reachable", async () => {
  const order: string[] = []
  const guests = await startEach(
    GUESTS,
    (guest) => {
      order.push(`reach ${nameOf(guest)}`)
      return guest as EarlyGuest
    },
    async (guest) => {
      // The real one starts its QEMU's process after promises, too, which wait for nothing else.
      await undefined
      order.push(`start ${nameOf(guest)}`)
      return RESULT
    },
  )
  assert.deepEqual(order, ['reach a', 'start a', 'reach b', 'start b', 'reach c', 'start c'])
  assert.deepEqual([...guests.keys()], ['a', 'b', 'c'])
  assert.equal(await guests.get('b'), RESULT)
})

test('a guest that cannot be reached, or throws, holds back no other and counts as not started', async () => {
  const reach = (guest: SavedGuest): EarlyGuest | undefined => {
    if (nameOf(guest) === 'b') throw new Error('no device')
    return nameOf(guest) === 'a' ? undefined : (guest as EarlyGuest)
  }
  const guests = await startEach(GUESTS, reach, async () => RESULT)
  assert.deepEqual([...guests.keys()], ['c'])
})
