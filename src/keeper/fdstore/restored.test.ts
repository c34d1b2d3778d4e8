/** What a service manager's store means for the table: the memfd that an object is, or none. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { close } from '../../linux/descriptors.ts'
import { memfdCreate, memfdIdentity } from '../../linux/memory.ts'
import type { Fd, ObjectId } from '../../values/ids.ts'
import { makeTable } from '../areas.ts'
import { storedName } from './fdstore.ts'
import { rewriteTable } from './restored.ts'

const memfd = (): Fd => memfdCreate('test', { sealable: false })

test('an object whose number the store has another memfd for is lost, and does not get it', () => {
  const { fd: tableFd, table } = makeTable()
  const [kept, former, present, unidentified] = [memfd(), memfd(), memfd(), memfd()]
  const [first, reused, gone, older] = [1, 2, 3, 4] as ObjectId[] as [ObjectId, ObjectId, ObjectId, ObjectId]
  for (const [object, fd] of [
    [first, kept],
    [reused, present],
    [gone, present],
  ] as const) {
    table.setIdentity(object, memfdIdentity(fd))
    table.set(object, 'server', fd)
  }
  table.set(older, 'server', unidentified)
  // The manager has not read that the former owner of the number went.
  const names = [storedName(first), storedName(reused), storedName(older), 'image']
  rewriteTable(table, names, [kept, former, unidentified, tableFd])
  assert.deepEqual(
    [first, reused, gone, older].map((object) => [table.state(object), table.get(object, 'keeper')]),
    [
      ['present', kept],
      ['lost', undefined],
      ['lost', undefined],
      ['present', unidentified],
    ],
  )
  for (const fd of [kept, former, present, unidentified, tableFd]) close(fd)
})

test('of two memfds of one name, the object gets its own, in whichever order they come', () => {
  for (const isFirst of [true, false]) {
    const { fd: tableFd, table } = makeTable()
    const [own, former] = [memfd(), memfd()]
    const object = 5 as ObjectId
    table.setIdentity(object, memfdIdentity(own))
    table.set(object, 'server', own)
    const name = storedName(object)
    rewriteTable(table, [name, name], isFirst ? [own, former] : [former, own])
    assert.deepEqual([table.state(object), table.get(object, 'keeper')], ['present', own])
    for (const fd of [own, former, tableFd]) close(fd)
  }
})
