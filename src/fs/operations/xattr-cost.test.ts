/** What reading an xattr costs: every user may read one, and the server does nothing else meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blocks, fixture, n, nameAt, ok, ROOT } from '../testing/fixture.ts'

/** How many elements iterators of maps and sets gave while `work` ran: what it has looked through. */
function lookedThrough(work: () => unknown): number {
  let count = 0
  const iterators = [new Map().values(), new Set().values()].map((each) => Object.getPrototypeOf(each))
  const formerly = iterators.map(({ next }) => next)
  for (const [index, iterator] of iterators.entries())
    iterator.next = function next(this: unknown) {
      count++
      return formerly[index].call(this)
    }
  try {
    work()
  } finally {
    for (const [index, iterator] of iterators.entries()) iterator.next = formerly[index]
  }
  return count
}

test('a report about files costs what it lists, however many names there are', () => {
  const costs = [10, 3000].map((names) => {
    const { fs, rq, file } = fixture()
    const ram = file('ram', blocks(1))
    ok(fs.setXattr(rq(), ram, n('trusted.guestmemfs.vm'), Buffer.from('{"name":"guest"}'), 0))
    const other = file('other')
    for (let at = 0; at < names; at++) ok(fs.link(rq(), other, nameAt(ROOT, `link ${at}`)))
    return ['guestmemfs.ram', 'guestmemfs.vms', 'guestmemfs.orphans', 'guestmemfs.pool'].map((name) =>
      lookedThrough(() => ok(fs.getXattr(ROOT, n(name)))),
    )
  })
  assert.deepEqual(costs[1], costs[0])
  assert.ok(lookedThrough(() => [...new Map([[1, 1]])]) > 0)
})
