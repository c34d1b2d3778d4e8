/** What reading an xattr costs: every user may read one, and the server does nothing else meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BLOCK_BYTES } from '../../stores/store.ts'
import { blocks, fixture, n, nameAt, ok, ROOT } from '../testing/fixture.ts'
import { describeExtents } from '../xattrs/report-file.ts'

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

test('a page of extents costs what it lists, whichever it is', () => {
  const { file, stat } = fixture()
  let looks = 0
  const pages = 50
  const perPage = 600
  const list = Array.from({ length: pages * perPage }, (_, at) => ({ start: 2 * at, count: 1 }))
  const get = (target: typeof list, key: string | symbol, self: unknown) => {
    looks++
    return Reflect.get(target, key, self)
  }
  const extents = new Proxy(list, { get })
  const inode = { ...stat(file('ram', blocks(1))), extents }
  assert.equal(describeExtents(inode, 1)?.length, perPage)
  for (const page of [pages - 1, 3, pages - 1]) {
    looks = 0
    const [first] = describeExtents(inode, page) ?? []
    const at = page * perPage
    assert.deepEqual(first, {
      fileOffsetBytes: at * BLOCK_BYTES,
      poolOffsetBytes: 2 * at * BLOCK_BYTES,
      lengthBytes: BLOCK_BYTES,
    })
    assert.ok(looks < 3 * perPage, `page ${page}: ${looks} looks`)
  }
  assert.equal(describeExtents(inode, pages), undefined)
})
