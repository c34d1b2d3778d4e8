import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EBUSY, ENOSPC } from '../../values/errno.ts'
import type { Ino } from '../../values/ids.ts'
import { WAIT_FOR_STORE } from '../../values/refusal.ts'
import { Volume } from '../state/volume.ts'
import { blocks, checkInvariants, fixture, fixtureOver, n, nameAt, ok, ROOT } from '../testing/fixture.ts'
import { evict } from './orphans.ts'

test('an unlinked file keeps its blocks until it is evicted, and is readable until then', () => {
  const { fs, store, journal, rq, file, stat } = fixture()
  const ino = file('f')
  ok(fs.write(rq(), ino, 0, Buffer.from('still here')))
  fs.unlink(rq(), nameAt(ROOT, 'f'))
  assert.equal(fs.statfs().freeBlocks, 15)
  const bytes = Buffer.alloc(10)
  assert.equal(fs.read(ino, 0, bytes), 10)
  assert.equal(bytes.toString(), 'still here')
  assert.equal(stat(ino).links, 0)
  assert.equal(fs.evict(rq(), ino), 'gone')
  assert.equal(fs.evict(rq(), ino), 'gone')
  assert.equal(fs.inode(ino), undefined)
  assert.equal(fs.statfs().freeBlocks, 16)
  assert.deepEqual([...store.objects()], [])
  checkInvariants(fs, journal)
})

test('a file with a name is kept', () => {
  const { fs, rq, file } = fixture()
  assert.equal(fs.evict(rq(), file('f')), 'kept')
})

test('a held object is never released, its blocks never handed out, and it is retried', () => {
  const { fs, store, journal, rq, file, stat } = fixture({ totalBlocks: 2 })
  const ino = file('ram', blocks(2))
  const memory = stat(ino).object!
  store.held.add(memory)
  fs.unlink(rq(), nameAt(ROOT, 'ram'))
  assert.equal(fs.evict(rq(), ino), 'held')
  assert.equal(
    fs.retryOrphans(rq(), () => false),
    0,
  )
  const other = file('other')
  assert.equal(fs.setAttributes(rq(), other, { sizeBytes: blocks(1) }), ENOSPC)
  checkInvariants(fs, journal)
  store.held.clear()
  assert.equal(
    fs.retryOrphans(rq(), (at) => at === ino),
    0,
  )
  assert.equal(
    fs.retryOrphans(rq(), () => false),
    1,
  )
  assert.equal(
    fs.retryOrphans(rq(), () => false),
    0,
  )
  ok(fs.setAttributes(rq(), other, { sizeBytes: blocks(2) }))
})

test('an eviction without a search notes nothing, also while another orphan is searched for', (t) => {
  const { fs, store, journal, rq, file } = fixture()
  const [first, searched, second, third] = ['a', 'b', 'c', 'd'].map((name) => file(name)) as [
    Ino,
    Ino,
    Ino,
    Ino,
  ]
  for (const name of ['a', 'b', 'c', 'd']) fs.unlink(rq(), nameAt(ROOT, name))
  const volume = new Volume(journal, store)
  const calls = [t.mock.method(volume.searches, 'set'), t.mock.method(volume.searches, 'delete')]
  const counts = () => calls.map(({ mock }) => mock.callCount())
  assert.equal(evict(volume, rq(), first), 'gone')
  assert.deepEqual(counts(), [0, 0])
  store.failures.isHeld.push(WAIT_FOR_STORE)
  assert.equal(evict(volume, rq(), searched), 'held')
  assert.equal(evict(volume, rq(), second), 'gone')
  assert.deepEqual([...volume.searches], [[searched, 'begun']])
  assert.equal(evict(volume, rq(), searched), 'gone')
  assert.deepEqual([...volume.searches], [])
  const before = counts()
  assert.equal(evict(volume, rq(), third), 'gone')
  assert.deepEqual(counts(), before)
})

test('only the first search for an orphan counts, also where it stays for want of room for the record', () => {
  const { fs, store, journal, rq, file, stat } = fixture()
  const ino = file('f')
  const object = stat(ino).object!
  fs.unlink(rq(), nameAt(ROOT, 'f'))
  const tried = () => [fs.evict(rq(), ino), fs.isSearching]
  store.failures.isHeld.push(WAIT_FOR_STORE, WAIT_FOR_STORE)
  assert.deepEqual([tried(), tried()], Array(2).fill(['held', true]))
  const fits = journal.fits.bind(journal)
  journal.fits = () => false
  assert.deepEqual(tried(), [ENOSPC, false])
  store.failures.isHeld.push(WAIT_FOR_STORE)
  assert.deepEqual(tried(), ['held', false])
  journal.fits = fits
  store.held.add(object)
  assert.deepEqual(tried(), ['held', false])
  store.held.clear()
  assert.deepEqual(tried(), ['gone', false])
})

test('one that was held, or had no room, before any search began is not waited for', () => {
  for (const stays of ['held', 'no room'] as const) {
    const { fs, store, journal, rq, file, stat } = fixture()
    const ino = file('f')
    fs.unlink(rq(), nameAt(ROOT, 'f'))
    if (stays === 'held') store.held.add(stat(ino).object!)
    else journal.fits = () => false
    assert.notEqual(fs.evict(rq(), ino), 'gone')
    store.failures.isHeld.push(WAIT_FOR_STORE)
    assert.equal(fs.evict(rq(), ino), 'held')
    assert.equal(fs.isSearching, false, stays)
  }
})

test('a frozen pool keeps its orphans', () => {
  const { fs, rq, file } = fixture()
  const ino = file('f')
  fs.unlink(rq(), nameAt(ROOT, 'f'))
  ok(fs.freeze(rq()))
  assert.equal(fs.evict(rq(), ino), 'kept')
  assert.equal(
    fs.retryOrphans(rq(), () => false),
    0,
  )
  ok(fs.thaw(rq()))
  assert.equal(fs.evict(rq(), ino), 'gone')
})

test('eviction takes the xattrs along, in as many records as it needs', () => {
  for (const count of [3, 200]) {
    const { fs, journal, rq, file } = fixture()
    const ino = file('f', blocks(1))
    for (let at = 0; at < count; at++) ok(fs.setXattr(rq(), ino, n(`user.${at}`), Buffer.from('v'), 0))
    fs.unlink(rq(), nameAt(ROOT, 'f'))
    const before = journal.records.length
    assert.equal(fs.evict(rq(), ino), 'gone')
    const records = journal.records.slice(before)
    assert.equal(records.length, count === 3 ? 1 : 4)
    for (const { entries } of records) assert.ok(entries.length <= 65)
    assert.equal(journal.state.xattrs.size, 0)
    checkInvariants(fs, journal)
  }
})

test('a file in very many pieces is evicted in steps, each of which is a sound state', () => {
  const totalBlocks = 6000
  const { fs, store, journal, rq, file, stat } = fixture({ clearing: 'ours', totalBlocks })
  const all = file('all', blocks(totalBlocks))
  ok(fs.setAttributes(rq(), all, { sizeBytes: 0 }))
  // Every other block is bad, so that no two free ones touch.
  const bad = Array.from({ length: totalBlocks / 2 }, (_, at) => ({ start: 2 * at + 1, count: 1 }))
  journal.commit(
    rq().origin,
    bad.map((extent) => ({ kind: 'blocks', extent, state: 'bad' })),
  )
  const clean = Array.from({ length: totalBlocks / 2 }, (_, at) => ({ start: 2 * at, count: 1 }))
  journal.commit(
    rq().origin,
    clean.map((extent) => ({ kind: 'blocks', extent, state: 'clean' })),
  )

  const ino = file('ram', blocks(3000))
  assert.equal(stat(ino).extents.length, 3000)
  fs.unlink(rq(), nameAt(ROOT, 'ram'))
  const before = journal.records.length
  const unreleased = store.clone()
  assert.equal(fs.evict(rq(), ino), 'gone')
  assert.equal(journal.records.length - before, 3)
  for (let count = before; count <= journal.records.length; count++) {
    const next = fixtureOver(journal.replay(count), unreleased.clone())
    checkInvariants(next.fs, next.journal)
    next.fs.recover(next.rq())
    assert.deepEqual(next.fs.orphans(), [])
    assert.deepEqual([...next.store.objects()], [stat(all).object])
    checkInvariants(next.fs, next.journal)
  }
  assert.equal(fs.statfs().freeBlocks, 3000)
})

test('recovery releases what has no owner, repeats the last resize, and evicts orphans that no process holds', () => {
  const { fs, store, journal, rq, file, stat } = fixture()
  const [kept, held, gone] = [file('kept', blocks(3)), file('held'), file('gone')]
  store.held.add(stat(held).object!)
  fs.unlink(rq(), nameAt(ROOT, 'held'))
  fs.unlink(rq(), nameAt(ROOT, 'gone'))
  const stray = ok(store.create())
  // The last record made `kept` smaller; the server died before its memory followed.
  const real = store.resize.bind(store)
  store.resize = () => undefined
  ok(fs.setAttributes(rq(), kept, { sizeBytes: 1000 }))
  store.resize = real

  const next = fixtureOver(journal.replay(), store)
  const resized: unknown[] = []
  store.resize = (memory, to) => {
    resized.push([memory, to.sizeBytes])
    return real(memory, to)
  }
  next.fs.recover(next.rq(), (ino) => ino === kept)
  assert.deepEqual(resized, [[stat(kept).object, 1000]])
  assert.ok(![...store.objects()].includes(stray))
  assert.deepEqual(
    next.fs.orphans().map(({ ino }) => ino),
    [held],
  )
  assert.equal(next.fs.inode(gone), undefined)
  checkInvariants(next.fs, next.journal)

  const once = [...next.journal.state.entries()]
  next.fs.recover(next.rq())
  assert.deepEqual([...next.journal.state.entries()], once)
})

test('recovery leaves the orphans of a connection that outlived its server', () => {
  const { fs, store, journal, rq, file } = fixture()
  const ino = file('f')
  fs.unlink(rq(), nameAt(ROOT, 'f'))
  const next = fixtureOver(journal.replay(), store)
  next.fs.recover(next.rq(), (at) => at === ino)
  assert.equal(next.stat(ino).links, 0)
})

test('frozen: every modification answers EBUSY, reading goes on', () => {
  const { fs, journal, rq, file, stat } = fixture({ clearing: 'ours' })
  const d = ok(fs.mkdir(rq(), nameAt(ROOT, 'd'), 0o755)).ino
  const ino = file('f', 10)
  ok(fs.setXattr(rq(), ino, n('user.a'), Buffer.from('x'), 0))
  file('dirty', blocks(1))
  ok(fs.unlink(rq(), nameAt(ROOT, 'dirty')))
  assert.equal(
    fs.retryOrphans(rq(), () => false),
    1,
  )
  const extent = fs.dirtyExtent(1)!
  ok(fs.freeze(rq()))
  ok(fs.freeze(rq()))
  const records = journal.records.length
  const x = Buffer.from('x')
  const refusals = {
    create: fs.create(rq(), nameAt(ROOT, 'g'), 0o644),
    mkdir: fs.mkdir(rq(), nameAt(ROOT, 'g'), 0o755),
    symlink: fs.symlink(rq(), nameAt(ROOT, 'g'), n('t')),
    link: fs.link(rq(), ino, nameAt(ROOT, 'g')),
    unlink: fs.unlink(rq(), nameAt(ROOT, 'f')),
    rmdir: fs.rmdir(rq(), nameAt(ROOT, 'd')),
    rename: fs.rename(rq(), nameAt(ROOT, 'f'), nameAt(d, 'f'), 0),
    setAttributes: fs.setAttributes(rq(), ino, { mode: 0 }),
    truncate: fs.setAttributes(rq(), ino, { sizeBytes: 0 }),
    fallocate: fs.fallocate(rq(), ino, 0, 0, 100),
    punchHole: fs.fallocate(rq(), ino, 3, 0, 1),
    write: fs.write(rq(), ino, 0, x),
    setXattr: fs.setXattr(rq(), ino, n('user.b'), x, 0),
    removeXattr: fs.removeXattr(rq(), ino, n('user.a')),
    markClean: fs.markClean(rq(), extent),
  }
  for (const [operation, result] of Object.entries(refusals)) assert.equal(result, EBUSY, operation)
  assert.equal(fs.dirtyExtent(1), undefined)
  assert.equal(fs.read(ino, 0, Buffer.alloc(4)), 4)
  assert.equal(fs.lookup(ROOT, n('f')), stat(ino))
  assert.equal(journal.records.length, records)
  ok(fs.thaw(rq()))
  assert.equal(fs.write(rq(), ino, 0, x), 1)
  assert.equal(fs.markClean(rq(), extent), undefined)
})
