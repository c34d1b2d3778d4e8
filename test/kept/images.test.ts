/**
 * Images of former trees: today's program finds no error in them, reads the same from them, and writes to
 * them.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FileSystem } from '../../src/fs/file-system.ts'
import { dumpImage, type PlainEntry } from '../../src/fs/image/dump-image.ts'
import { checkImage } from '../../src/fs/image/fsck-image.ts'
import { readHeader } from '../../src/fs/image/header.ts'
import { Image } from '../../src/fs/image/image.ts'
import { packImage, unpackImage } from '../../src/fs/image/packed-image.ts'
import { type Inode, isSpecial } from '../../src/fs/state/inode.ts'
import { State } from '../../src/fs/state/state.ts'
import { checkInvariants, fixtureOver, n, nameAt, ok } from '../../src/fs/testing/fixture.ts'
import { MemoryStore } from '../../src/fs/testing/memory-store.ts'
import { chunkBlocksOf } from '../../src/stores/registry.ts'
import { EPERM, Errno } from '../../src/values/errno.ts'
import { type Ino, printable, ROOT_INO, toBytes } from '../../src/values/ids.ts'
import { readPrinted } from '../../testbed/printed-json.ts'
import { COMMITS, IMAGES, keptDump, keptImage, keptJson } from './kept.ts'
import { isText, type Told, type TreeTold } from './tell-tree.ts'

/** The test changes one in so many of the bytes that are not zero. */
const STEP = 3

const open = (area: Uint8Array): Image<State> => Image.open(area, readHeader(area).identity, new State())

/** As `JSON.stringify` writes it: without undefined fields. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** Sorted: two images of the same state may list it in another order. */
const entriesOf = (area: Uint8Array): string[] =>
  dumpImage(area)
    .entries.map((entry: PlainEntry) => JSON.stringify(plain(entry)))
    .sort()

/** Today's file system over the image, on memory with an object for each that the image names. */
function fileSystemOver(image: Image<State>) {
  const { totalBlocks } = image.identity
  const store = new MemoryStore({ clearing: 'kernel', totalBlocks })
  const objects = [...image.state.inodes.values()].map(({ object }) => object ?? 0)
  for (let object = 1; object <= Math.max(...objects); object++) ok(store.create())
  return fixtureOver(image, store)
}

function find(fs: FileSystem, path: string): Ino {
  const names = path === '.' ? [] : path.split('/')
  return names.reduce((parent, name) => ok(fs.lookup(parent, n(name))).ino, ROOT_INO)
}

/** As `tellTree` returns it for a mount, but for what is not in the image. */
function treeOf(fs: FileSystem): Record<string, object> {
  const told: Record<string, object> = {}
  const visit = (path: string, ino: Ino): void => {
    const inode = fs.inode(ino) as Inode
    told[path] = tell(fs, inode)
    if (inode.kind !== 'directory') return
    for (const listed of ok(fs.readDirectory(ino, 0))) {
      const name = printable(listed.name)
      if (name === '.' || name === '..' || !isText(name)) continue
      visit(path === '.' ? name : `${path}/${name}`, find(fs, path === '.' ? name : `${path}/${name}`))
    }
  }
  visit('.', ROOT_INO)
  return told
}

const nanoseconds = ({ seconds, nanoseconds }: Inode['mtime']): string =>
  String(BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds))

function tell(fs: FileSystem, inode: Inode): Omit<Told, 'sha256'> {
  const { ino, kind, mode, uid, gid, links, sizeBytes } = inode
  if (isSpecial(kind)) assert.fail(`no former version made a ${kind}`)
  const names = ok(fs.listXattrs(ino)).map(printable).sort()
  const values = names.map((name) => [name, Buffer.from(ok(fs.getXattr(ino, n(name)))).toString('base64')])
  return {
    ...{ ino, kind, mode, uid, gid, links, sizeBytes },
    mtime: nanoseconds(inode.mtime),
    ctime: nanoseconds(inode.ctime),
    ...(kind === 'symlink' && { target: printable(inode.target) }),
    xattrs: Object.fromEntries(values),
  }
}

for (const commit of COMMITS) {
  for (const name of IMAGES)
    test(`${commit}, ${name}: fsck finds nothing, dump says what the former dump said`, () => {
      const area = keptImage(commit, name)
      assert.deepEqual(checkImage(area, new State(), chunkBlocksOf), [])
      assert.deepEqual(plain(dumpImage(area)), keptDump(commit, name))
    })

  test(`${commit}: the tree is what its own mount said`, () => {
    const { fs } = fileSystemOver(open(keptImage(commit, 'image')))
    const wanted = Object.entries(keptJson<TreeTold>(commit, 'tree.json'))
    assert.deepEqual(
      treeOf(fs),
      Object.fromEntries(wanted.map(([path, { sha256: _, ...told }]) => [path, told])),
    )
    assert.ok(wanted.length > 15)
    const folder = ok(fs.readDirectory(find(fs, 'folder'), 0))
    const names = [...folder].map((listed) => toBytes(listed.name).toString('hex'))
    assert.ok(
      names.includes(Buffer.from('not \xff utf-8', 'latin1').toString('hex')),
      'a name that is no UTF-8',
    )
  })

  test(`${commit}: today's mount says of itself what the former one said`, () => {
    const { fs } = fileSystemOver(open(keptImage(commit, 'image')))
    const kept = keptJson<Record<string, Record<string, string>>>(commit, 'values.json')
    // Values of the server and the store, which no image has.
    const { 'guestmemfs.server': _server, 'guestmemfs.handover': _handover, ...root } = kept['.'] ?? {}
    const wanted = { ...kept, '.': root }
    const said = Object.entries(wanted).map(([path, values]) => {
      const ino = find(fs, path)
      return [
        path,
        Object.fromEntries(
          Object.keys(values).map((name) => [name, Buffer.from(ok(fs.getXattr(ino, n(name)))).toString()]),
        ),
      ]
    })
    assert.deepEqual(Object.fromEntries(said), wanted)
  })

  test(`${commit}: what is handed over is unpacked as it was packed, and today packs the same`, () => {
    const packed = keptImage(commit, 'packed')
    const { identity } = readHeader(packed)
    const area = new Uint8Array(2 ** 20)
    unpackImage(packed, identity, new State(), area)
    assert.deepEqual(entriesOf(area), entriesOf(packed))
    assert.deepEqual(entriesOf(packed), entriesOf(keptImage(commit, 'image')))
    assert.deepEqual(entriesOf(packImage(identity, open(area).state, 1)), entriesOf(packed))
    assert.deepEqual(readHeader(area).identity, identity)
  })

  test(`${commit}: a file system goes on with it, and what it does is there when it is opened again`, () => {
    const area = keptImage(commit, 'image')
    const { fs, journal, rq } = fileSystemOver(open(area))
    assert.equal(fs.frozen, true)
    assert.equal(fs.thaw(rq()), undefined)
    assert.equal(fs.orphanCount, 2)
    fs.recover(rq())
    assert.equal(fs.orphanCount, 0, 'nothing holds them any more')
    const { ino } = ok(fs.create(rq(), nameAt(ROOT_INO, 'new'), 0o644))
    ok(fs.setAttributes(rq(), ino, { sizeBytes: 5 }))
    assert.equal(fs.unlink(rq(), nameAt(ROOT_INO, 'text')), undefined)
    assert.equal(fs.setXattr(rq(), find(fs, 'folder'), n('user.new'), Buffer.from('value'), 0), undefined)
    checkInvariants(fs, journal)
    const tree = treeOf(fs)

    assert.deepEqual(checkImage(area, new State(), chunkBlocksOf), [])
    const again = fileSystemOver(open(area)).fs
    assert.deepEqual(treeOf(again), tree)
    assert.equal(again.lookup(ROOT_INO, n('text')) instanceof Errno, true)
    assert.equal(again.frozen, false)
  })

  test(`${commit}: upgraded, it is the same, can hold more, and is handed over so`, () => {
    for (const name of IMAGES) {
      const area = keptImage(commit, name)
      const entries = entriesOf(area)
      const image = open(area)
      assert.equal(image.version, 1)
      image.upgrade()
      assert.deepEqual([readHeader(area).version, open(area).version], [2, 2])
      assert.deepEqual(entriesOf(area), entries)
      assert.deepEqual(checkImage(area, new State(), chunkBlocksOf), [])
    }
    const area = keptImage(commit, 'image')
    const { fs, journal, rq } = fileSystemOver(open(area))
    const tree = treeOf(fs)
    const make = () => fs.mknod(rq(), nameAt(ROOT_INO, 'new'), 'character-device', 0o600, 0x501)
    assert.equal(fs.thaw(rq()), undefined)
    assert.equal(make(), EPERM)
    assert.equal(fs.setXattr(rq(), ROOT_INO, n('guestmemfs.format'), Buffer.from('2'), 0), undefined)
    assert.deepEqual(treeOf(fs), tree)
    const { ino } = ok(make())
    checkInvariants(fs, journal)
    const again = open(area)
    const packed = packImage(again.identity, again.state, again.version)
    const unpacked = new Uint8Array(2 ** 20)
    unpackImage(packed, again.identity, new State(), unpacked)
    assert.deepEqual([readHeader(packed).version, open(unpacked).version], [2, 2])
    assert.equal(open(unpacked).state.inodes.get(ino)?.rdev, 0x501)
    assert.deepEqual(checkImage(unpacked, new State(), chunkBlocksOf), [])
  })

  test(`${commit}: what dump prints of it has each key of its schema, and no other one`, () => {
    for (const name of IMAGES) readPrinted('dump', JSON.stringify(dumpImage(keptImage(commit, name))))
  })

  test(`${commit}: what is damaged is found, and what is of another version is refused`, () => {
    const packed = keptImage(commit, 'packed')
    const written = [...packed.keys()].filter((at) => packed[at] !== 0)
    for (let index = 0; index < written.length; index += STEP) {
      const at = written[index] as number
      const damaged = packed.slice()
      damaged[at] = (damaged[at] as number) ^ 0x10
      assert.notDeepEqual(checkImage(damaged, new State(), chunkBlocksOf), [], `byte ${at}`)
    }
    assert.match(
      String(checkImage(packed.subarray(0, -4096), new State(), chunkBlocksOf)[0]?.message),
      /made for a metadata area of/,
    )
    assert.throws(
      () => unpackImage(packed, { storeKind: 'dax' }, new State(), new Uint8Array(2 ** 20)),
      /belongs to a memfd store/,
    )
    assert.throws(
      () =>
        unpackImage(packed, { storeKind: 'memfd', totalBlocks: 63 }, new State(), new Uint8Array(2 ** 20)),
      /describes a pool of 64 blocks, the store has 63/,
    )
  })
}
