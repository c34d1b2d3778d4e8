/** The paths of files of many names: found in the index alone, whatever names came and went. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blocks, fixture, n, nameAt, ok, ROOT } from '../testing/fixture.ts'
import { Directory } from './directory.ts'

const json = (value: Uint8Array) => JSON.parse(Buffer.from(value).toString())

test('a file keeps a path while it has a name, and no directory is searched for it', (t) => {
  const { fs, rq, file, stat } = fixture()
  const folder = ok(fs.mkdir(rq(), nameAt(ROOT, 'd'), 0o755)).ino
  const ram = file('ram', blocks(1))
  const paths = () =>
    json(ok(fs.getXattr(ROOT, n('guestmemfs.ram')))).map((each: { file: string }) => each.file)
  const names = Array.from({ length: 300 }, (_, at) => `n${at}`)
  for (const name of names) ok(fs.link(rq(), ram, nameAt(folder, name)))
  t.mock.method(Directory.prototype, 'values', () => assert.fail('a directory is searched'))

  assert.deepEqual(paths(), ['d/n299'])
  ok(fs.rename(rq(), nameAt(folder, 'n299'), nameAt(ROOT, 'moved'), 0) ?? 0)
  assert.deepEqual(paths(), ['moved'])
  ok(fs.unlink(rq(), nameAt(ROOT, 'moved')) ?? 0)
  // Some go while another one is the latest, some while they are it, in an order of no meaning.
  const present = new Set(['ram', ...names.slice(0, -1).map((name) => `d/${name}`)])
  for (let at = 0; at < names.length - 1; at++) {
    const name = names[(at * 77) % (names.length - 1)] as string
    ok(fs.unlink(rq(), nameAt(folder, name)) ?? 0)
    present.delete(`d/${name}`)
    const [path] = paths()
    assert.ok(present.has(path), `${path} is no name of it any more`)
  }
  assert.equal(stat(ram).links, 1)
  assert.deepEqual(paths(), ['ram'])
  ok(fs.unlink(rq(), nameAt(ROOT, 'ram')) ?? 0)
  assert.deepEqual(paths(), [])
})

test('two files that exchange their names, one of them with another name', () => {
  const { fs, rq, file } = fixture()
  const [a, b] = [file('a', blocks(1)), file('b', blocks(1))]
  ok(fs.link(rq(), b, nameAt(ROOT, 'b2')))
  ok(fs.rename(rq(), nameAt(ROOT, 'a'), nameAt(ROOT, 'b'), 2) ?? 0)
  for (const [ino, name] of [
    [a, 'b'],
    [b, 'a'],
  ] as const) {
    const vm = Buffer.from('{}')
    ok(fs.setXattr(rq(), ino, n('trusted.guestmemfs.vm'), vm, 0) ?? 0)
    const vms = json(ok(fs.getXattr(ROOT, n('guestmemfs.vms'))))
    const { path } = vms.find((each: { ino: number }) => each.ino === ino)
    assert.ok(path === name || (ino === b && path === 'b2'), path)
  }
  ok(fs.unlink(rq(), nameAt(ROOT, 'a')) ?? 0)
  ok(fs.removeXattr(rq(), a, n('trusted.guestmemfs.vm')) ?? 0)
  assert.deepEqual(json(ok(fs.getXattr(ROOT, n('guestmemfs.vms')))), [{ path: 'b2', ino: b }])
})

test('the extents of a file in many pieces come in pages, and no page costs the file', () => {
  const { fs, rq, file } = fixture({ totalBlocks: 2600 })
  const [odd, even] = [file('odd', blocks(1)), file('even', blocks(1))]
  for (let size = 2; size <= 1300; size++)
    for (const ino of [odd, even]) ok(fs.setAttributes(rq(), ino, { sizeBytes: blocks(size) }))
  const page = (at: number) => fs.getXattr(odd, n(`guestmemfs.extents.${at}`))
  const pages = [0, 1, 2].map((at) => json(ok(page(at))))
  assert.ok(pages.every((each) => each.length > 0))
  const extents = pages.flat() as { fileOffsetBytes: number; lengthBytes: number }[]
  assert.deepEqual(
    extents.map(({ fileOffsetBytes }) => fileOffsetBytes),
    Array.from({ length: 1300 }, (_, at) => blocks(at)),
  )
  assert.equal(page(3), fs.getXattr(odd, n('guestmemfs.nothing')), 'ENODATA')
})
