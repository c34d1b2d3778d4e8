import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  E2BIG,
  EBUSY,
  EEXIST,
  EFBIG,
  EINVAL,
  EISDIR,
  ENODATA,
  ENOSPC,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
  ESTALE,
} from '../../values/errno.ts'
import type { Ino } from '../../values/ids.ts'
import { MIB } from '../../values/units.ts'
import { XATTR_CREATE, XATTR_REPLACE } from '../../values/xattr-names.ts'
import { blocks, checkInvariants, fixture, n, nameAt, ok, ROOT } from '../testing/fixture.ts'

const text = (value: string) => Buffer.from(value)

test('set, get, list, replace, remove', () => {
  const { fs, journal, rq, file, stat } = fixture()
  const ino = file('f')
  const value = text('one')
  const request = rq()
  assert.equal(fs.setXattr(request, ino, n('user.a'), value, 0), undefined)
  value.fill(0)
  assert.deepEqual(Buffer.from(ok(fs.getXattr(ino, n('user.a')))), text('one'))
  assert.deepEqual(stat(ino).ctime, request.now)
  assert.equal(fs.setXattr(rq(), ino, n('security.b'), text(''), XATTR_CREATE), undefined)
  assert.equal(ok(fs.getXattr(ino, n('security.b'))).length, 0)
  assert.deepEqual(ok(fs.listXattrs(ino)).sort(), ['security.b', 'user.a'])
  assert.equal(fs.setXattr(rq(), ino, n('user.a'), text('x'), XATTR_CREATE), EEXIST)
  assert.equal(fs.setXattr(rq(), ino, n('user.c'), text('x'), XATTR_REPLACE), ENODATA)
  assert.equal(fs.setXattr(rq(), ino, n('user.a'), text('x'), XATTR_CREATE | XATTR_REPLACE), EINVAL)
  assert.equal(fs.removeXattr(rq(), ino, n('user.a')), undefined)
  assert.equal(fs.removeXattr(rq(), ino, n('user.a')), ENODATA)
  assert.equal(fs.getXattr(ino, n('user.a')), ENODATA)
  checkInvariants(fs, journal)
})

test('names that are not stored', () => {
  const { fs, rq, file } = fixture()
  const ino = file('f')
  for (const name of ['system.posix_acl_access', 'other', 'user'])
    assert.equal(fs.setXattr(rq(), ino, n(name), text('x'), 0), EOPNOTSUPP, name)
  assert.equal(fs.getXattr(ino, n('system.posix_acl_access')), EOPNOTSUPP)
  assert.equal(fs.setXattr(rq(), ino, n('user.'), text('x'), 0), EINVAL)
  assert.equal(fs.setXattr(rq(), ino, n(`user.${'x'.repeat(251)}`), text('x'), 0), ERANGE)
  assert.equal(fs.setXattr(rq(), 99 as Ino, n('user.a'), text('x'), 0), ESTALE)
  assert.equal(fs.setXattr(rq(), ino, n('guestmemfs.kind'), text('x'), 0), EPERM)
  assert.equal(fs.removeXattr(rq(), ino, n('guestmemfs.kind')), EPERM)
})

test('values and lists end at 64 KiB', () => {
  const { fs, rq, file } = fixture()
  const ino = file('f')
  assert.equal(fs.setXattr(rq(), ino, n('user.a'), Buffer.alloc(65536), 0), undefined)
  assert.equal(fs.setXattr(rq(), ino, n('user.a'), Buffer.alloc(65537), 0), E2BIG)
  const other = file('g')
  for (let at = 0; at < 256; at++) {
    const name = n(`user.${String(at).padStart(250, 'x')}`)
    assert.equal(fs.setXattr(rq(), other, name, text(''), 0), undefined)
  }
  assert.equal(fs.setXattr(rq(), other, n('user.a'), text(''), 0), ENOSPC)
  assert.equal(fs.setXattr(rq(), other, n(`user.${'0'.padStart(250, 'x')}`), text('again'), 0), undefined)
})

test('freezing by xattr: on the root alone, only 0 and 1, and thawing is all that is left', () => {
  const { fs, rq, file } = fixture()
  const ino = file('f')
  const frozen = n('trusted.guestmemfs.frozen')
  const read = () => Buffer.from(ok(fs.getXattr(ROOT, frozen))).toString()
  assert.equal(read(), '0')
  assert.equal(fs.setXattr(rq(), ino, frozen, text('1'), 0), EINVAL)
  assert.equal(fs.getXattr(ino, frozen), ENODATA)
  for (const wrong of ['', '2', 'yes', '11'])
    assert.equal(fs.setXattr(rq(), ROOT, frozen, text(wrong), 0), EINVAL)
  assert.equal(fs.removeXattr(rq(), ROOT, frozen), EPERM)
  assert.equal(fs.setXattr(rq(), ROOT, frozen, text('1\n'), 0), undefined)
  assert.equal(fs.frozen, true)
  assert.equal(read(), '1')
  assert.equal(fs.setXattr(rq(), ino, n('user.a'), text('x'), 0), EBUSY)
  assert.equal(fs.setXattr(rq(), ROOT, frozen, text('0'), 0), undefined)
  assert.equal(fs.frozen, false)
  assert.deepEqual(ok(fs.listXattrs(ROOT)), [])
})

test('what the next kernel must know is recorded on the root, frozen or not', () => {
  const { fs, journal, rq, file } = fixture()
  const ino = file('f')
  const update = n('trusted.guestmemfs.update')
  assert.equal(fs.setXattr(rq(), ino, update, text('{}'), 0), EINVAL)
  for (const wrong of ['', '[]', '1', '{'])
    assert.equal(fs.setXattr(rq(), ROOT, update, text(wrong), 0), EINVAL)
  assert.equal(fs.setXattr(rq(), ROOT, update, text(`{"a":"${'x'.repeat(65536)}"}`), 0), E2BIG)
  assert.equal(fs.getXattr(ROOT, update), ENODATA)
  fs.freeze(rq())
  assert.equal(fs.setXattr(rq(), ROOT, update, text('{"id":"1"}'), 0), undefined)
  assert.equal(Buffer.from(ok(fs.getXattr(ROOT, update))).toString(), '{"id":"1"}')
  assert.equal(fs.removeXattr(rq(), ROOT, update), EBUSY)
  fs.thaw(rq())
  assert.deepEqual(fs.listXattrs(ROOT), [])
  assert.equal(fs.removeXattr(rq(), ROOT, update), undefined)
  assert.equal(fs.getXattr(ROOT, update), ENODATA)
  checkInvariants(fs, journal)
})

test('the size by xattr: any file, decimal, as truncate would', () => {
  const { fs, journal, store, rq, file, stat } = fixture({ clearing: 'ours' })
  const size = n('trusted.guestmemfs.size')
  const ino = file('ram')
  const set = (value: string, at = ino) => fs.setXattr(rq(), at, size, text(value), 0)
  const read = () => Buffer.from(ok(fs.getXattr(ino, size))).toString()
  assert.equal(set(String(blocks(2))), undefined)
  assert.deepEqual([stat(ino).sizeBytes, stat(ino).guestRam], [blocks(2), true])
  assert.equal(read(), String(blocks(2)))
  assert.equal(set(`${blocks(1)}\n`), undefined)
  assert.equal(read(), String(blocks(1)))
  for (const wrong of ['', '-1', '1.5', '0x10', '1M', ' 1', '1\n\n'])
    assert.equal(set(wrong), EINVAL, JSON.stringify(wrong))
  assert.equal(set('9'.repeat(20)), EFBIG)
  assert.equal(set(String(blocks(99))), ENOSPC)
  store.held.add(stat(ino).object!)
  assert.equal(set('0'), EBUSY)
  store.held.clear()
  fs.freeze(rq())
  assert.equal(set('0'), EBUSY)
  fs.thaw(rq())
  assert.equal(stat(ino).sizeBytes, blocks(1))
  assert.equal(set('0'), undefined)
  assert.equal(stat(ino).guestRam, false)
  const directory = ok(fs.mkdir(rq(), nameAt(ROOT, 'directory'), 0o755)).ino
  assert.equal(set('1', directory), EISDIR)
  assert.equal(fs.getXattr(directory, size), ENODATA)
  assert.equal(set('1', ROOT), EOPNOTSUPP, 'a place in the machine has its size')
  assert.equal(fs.removeXattr(rq(), ino, size), EPERM)
  assert.deepEqual(ok(fs.listXattrs(ino)), [])
  assert.equal(journal.state.xattrs.size, 0)
  checkInvariants(fs, journal)
})

test('a VM record: a JSON object, on guest RAM or an empty file, never listed', () => {
  const { fs, rq, file } = fixture()
  const vm = n('trusted.guestmemfs.vm')
  const record = text('{"name":"one","argv":["qemu"]}')
  const [empty, ram, ordinary] = [file('empty'), file('ram', blocks(1)), file('ordinary', 10)]
  assert.equal(fs.setXattr(rq(), empty, vm, record, 0), undefined)
  assert.equal(fs.setXattr(rq(), ram, vm, record, 0), undefined)
  assert.equal(fs.setXattr(rq(), ordinary, vm, record, 0), EPERM)
  assert.equal(fs.setXattr(rq(), ROOT, vm, record, 0), EPERM)
  for (const wrong of ['', '[]', 'null', '"x"', '{', '{}x'])
    assert.equal(fs.setXattr(rq(), ram, vm, text(wrong), 0), EINVAL, wrong)
  assert.equal(fs.setXattr(rq(), ram, vm, Buffer.from([0x22, 0xff, 0x22]), 0), EINVAL)
  assert.equal(fs.setXattr(rq(), ram, n('trusted.guestmemfs.other'), record, 0), EINVAL)
  assert.deepEqual(Buffer.from(ok(fs.getXattr(ram, vm))), record)
  assert.deepEqual(ok(fs.listXattrs(ram)), [])
  assert.equal(fs.removeXattr(rq(), ram, vm), undefined)
  assert.equal(fs.getXattr(ram, vm), ENODATA)
})

const json = (value: Uint8Array) => JSON.parse(Buffer.from(value).toString())

test('the root says what the pool is', () => {
  const { fs, rq, file, stat } = fixture({ clearing: 'ours', totalBlocks: 16 })
  const get = (name: string) => json(ok(fs.getXattr(ROOT, n(`guestmemfs.${name}`))))
  file('ram', blocks(3))
  const ino = file('gone', blocks(2))
  fs.unlink(rq(), nameAt(ROOT, 'gone'))
  assert.deepEqual(get('pool'), {
    name: 'test',
    uuid: 'abababab-abab-abab-abab-abababababab',
    store: 'memfd',
    generation: 1,
    frozen: false,
  })
  assert.deepEqual(get('orphans'), [{ ino, kind: 'file', sizeBytes: blocks(2), guestRam: true, blocks: 2 }])
  assert.equal(fs.evict(rq(), ino), 'gone')
  assert.deepEqual(get('orphans'), [])
  assert.deepEqual(get('geometry'), {
    blockBytes: 2 * MIB,
    totalBytes: 32 * MIB,
    totalBlocks: 16,
    ownedBlocks: 3,
    cleanBlocks: 11,
    dirtyBlocks: 2,
    badBlocks: 0,
    freeForGuestRamBlocks: 13,
    freeForOrdinaryBlocks: 13,
  })
  const nowhere = { awaitedFiles: 0, lostFiles: 0 }
  assert.deepEqual(get('health'), { badBlocks: 0, dirtyBlocks: 2, orphans: 0, orphanBlocks: 0, ...nowhere })
  // This memory outlives a kernel by itself.
  assert.equal(fs.getXattr(ROOT, n('guestmemfs.handover')), ENODATA)
  assert.equal(fs.setXattr(rq(), ROOT, n('trusted.guestmemfs.handover'), text('ram'), 0), EOPNOTSUPP)
  assert.equal(fs.getXattr(ROOT, n('guestmemfs.nothing')), ENODATA)
  assert.equal(fs.getXattr(ROOT, n('guestmemfs.constructor')), ENODATA)
  assert.equal(fs.getXattr(ROOT, n('guestmemfs.extents')), ENODATA)
  assert.deepEqual(ok(fs.listXattrs(ROOT)), [])
  assert.equal(stat(ROOT).links, 2)
})

test('a file says what it is and where', () => {
  const { fs, rq, file } = fixture()
  const [a, b] = [file('a', blocks(2)), file('b', 10)]
  ok(fs.setAttributes(rq(), a, { sizeBytes: blocks(3) }))
  const get = (ino: Ino, name: string) => ok(fs.getXattr(ino, n(`guestmemfs.${name}`)))
  assert.equal(Buffer.from(get(a, 'kind')).toString(), 'guest-ram')
  assert.equal(Buffer.from(get(b, 'kind')).toString(), 'ordinary')
  assert.deepEqual(json(get(a, 'extents')), [
    { fileOffsetBytes: 0, poolOffsetBytes: 0, lengthBytes: blocks(2) },
    { fileOffsetBytes: blocks(2), poolOffsetBytes: blocks(3), lengthBytes: blocks(1) },
  ])
  assert.deepEqual(json(get(a, 'map')), { kind: 'file', sizeBytes: blocks(3), alignBytes: 2 * MIB })
  const link = ok(fs.symlink(rq(), nameAt(ROOT, 's'), n('t'))).ino
  assert.equal(fs.getXattr(link, n('guestmemfs.kind')), ENODATA)
})

test('VMs are found by their path, whatever names came and went', () => {
  const { fs, rq, file } = fixture()
  const vms = () => json(ok(fs.getXattr(ROOT, n('guestmemfs.vms'))))
  const d = ok(fs.mkdir(rq(), nameAt(ROOT, 'd'), 0o755)).ino
  const [a, b] = [file('a', blocks(1)), file('b', blocks(1))]
  const vm = n('trusted.guestmemfs.vm')
  ok(fs.setXattr(rq(), a, vm, text('{"name":"first"}'), 0))
  ok(fs.setXattr(rq(), b, vm, text('{}'), 0))
  ok(fs.rename(rq(), nameAt(ROOT, 'a'), nameAt(d, 'ä'), 0))
  assert.deepEqual(vms(), [
    { path: 'd/ä', ino: a, name: 'first' },
    { path: 'b', ino: b },
  ])
  ok(fs.link(rq(), b, nameAt(d, 'b2')))
  ok(fs.unlink(rq(), nameAt(d, 'b2')))
  assert.deepEqual(vms()[1], { path: 'b', ino: b })
  ok(fs.unlink(rq(), nameAt(ROOT, 'b')))
  assert.equal(vms().length, 1)
})

test('long lists come in pages, each whole JSON, until ENODATA', () => {
  const { fs, rq, file } = fixture()
  const inos = new Set<number>()
  for (let at = 0; at < 1500; at++) {
    const name = `f${at}`
    inos.add(file(name))
    fs.unlink(rq(), nameAt(ROOT, name))
  }
  const seen: number[] = []
  let page = 0
  for (; ; page++) {
    const value = fs.getXattr(ROOT, n(`guestmemfs.orphans.${page}`))
    if (value === ENODATA) break
    assert.ok(ok(value).length <= 65536)
    seen.push(...json(ok(value)).map(({ ino }: { ino: number }) => ino))
  }
  assert.ok(page > 1)
  assert.equal(seen.length, 1500)
  assert.deepEqual(new Set(seen), inos)
  assert.deepEqual(fs.getXattr(ROOT, n('guestmemfs.orphans')), fs.getXattr(ROOT, n('guestmemfs.orphans.0')))
  assert.equal(fs.getXattr(ROOT, n('guestmemfs.orphans.01')), ENODATA)
})

test('the server may add to what the root says', () => {
  const { fs, file } = fixture()
  let pid = 1
  fs.addRootXattr('server', () => JSON.stringify({ pid }))
  fs.addRootXattr('long', () => 'x'.repeat(65537))
  pid = 2
  assert.deepEqual(json(ok(fs.getXattr(ROOT, n('guestmemfs.server')))), { pid: 2 })
  assert.equal(fs.getXattr(ROOT, n('guestmemfs.long')), ERANGE)
  assert.equal(fs.getXattr(file('f'), n('guestmemfs.server')), ENODATA)
})
