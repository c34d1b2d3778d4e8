/**
 * The file system over a kind of store that it was not written for: a folder, and one more row in the
 * registry.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { FileSystem } from '../../../fs/file-system.ts'
import { checkImage } from '../../../fs/image/fsck-image.ts'
import { probe } from '../../../fs/image/header.ts'
import { State } from '../../../fs/state/state.ts'
import type { Caller } from '../../../fs/state/volume.ts'
import { nameAt, ok } from '../../../fs/testing/fixture.ts'
import { mapShared } from '../../../linux/memory.ts'
import { openFileSystem } from '../../../server/open-file-system.ts'
import { EOPNOTSUPP } from '../../../values/errno.ts'
import { UsageError } from '../../../values/errors.ts'
import { byteString, type Ino, ROOT_INO } from '../../../values/ids.ts'
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../../../values/uapi.ts'
import { MIB } from '../../../values/units.ts'
import { HANDOVER_XATTR, MAP_XATTR } from '../../../values/xattr-names.ts'
import { chunkBlocksOf, findRegion, STORES } from '../../registry.ts'
import type { Store } from '../../store.ts'
import { TMPFS } from './tmpfs-driver.ts'

const STORES_AND_TMPFS = { ...STORES, tmpfs: TMPFS }
const POOL = 'test'
const SHM = '/dev/shm'
const skip = existsSync(SHM) ? false : `needs a tmpfs at ${SHM}`

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(SHM, 'guestmemfs-tmpfs-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

interface Server {
  readonly fs: FileSystem
  readonly store: Store
  readonly rq: () => Caller
}

/** A server as it starts, the first one or after one that was killed. */
function start(folder: string): Server {
  const region = findRegion({ kind: 'tmpfs', region: folder }, STORES_AND_TMPFS)
  const { content } = region.probe(probe)
  const store = region.open(POOL)
  const { fs, image } = openFileSystem(store, { pool: POOL, isNew: content === 'zero' })
  let unique = image.lastOrigin?.unique ?? 0n
  const rq = (): Caller => {
    unique++
    const now = { seconds: 1000 + Number(unique), nanoseconds: 0 }
    return { origin: { unique, epoch: 1 }, uid: 0, gid: 0, now }
  }
  fs.recover(rq())
  return { fs, store, rq }
}

const lookUp = ({ fs }: Server, name: string) => ok(fs.lookup(ROOT_INO, byteString(name)))

function readAll({ fs }: Server, ino: Ino): string {
  const into = Buffer.alloc(fs.inode(ino)?.sizeBytes ?? 0)
  assert.equal(ok(fs.read(ino, 0, into)), into.length)
  return into.toString('latin1')
}

/** The memory of guest RAM as a guest has it. */
function mapRam({ store, fs }: Server, ino: Ino): Uint8Array {
  const inode = fs.inode(ino)
  assert.ok(inode?.object)
  const mapping = store.ram.mapping(inode.object, inode)
  assert.equal(mapping.via, 'passthrough')
  return mapping.via === 'passthrough' ? mapShared(mapping.fd, inode.sizeBytes) : assert.fail()
}

test('files are made, written, punched, mapped, and found again by the next server', { skip }, (t) => {
  const folder = makeFolder(t)
  const first = start(folder)
  const { fs, rq } = first
  const ram = ok(fs.create(rq(), nameAt(ROOT_INO, 'ram'), 0o600)).ino
  assert.equal(ok(fs.setAttributes(rq(), ram, { sizeBytes: 6 * MIB })).guestRam, true)
  const map = JSON.parse(Buffer.from(ok(fs.getXattr(ram, byteString(MAP_XATTR)))).toString())
  assert.deepEqual(map, { kind: 'file', sizeBytes: 6 * MIB, alignBytes: 2 * MIB })
  const guest = mapRam(first, ram)
  guest[5 * MIB] = 77

  const notes = ok(fs.create(rq(), nameAt(ROOT_INO, 'notes'), 0o644)).ino
  assert.equal(ok(fs.write(rq(), notes, 0, Buffer.from('hello, world'))), 12)
  assert.equal(fs.fallocate(rq(), notes, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5, 2), undefined)
  assert.equal(readAll(first, notes), 'hello\0\0world')
  assert.equal(fs.setXattr(rq(), ROOT_INO, byteString(HANDOVER_XATTR), Buffer.from('ram'), 0), EOPNOTSUPP)
  // What was made and never became a file of the image is no file's.
  const lost = ok(first.store.create())

  const second = start(folder)
  assert.ok(!readdirSync(folder).includes(String(lost)))
  assert.equal(readAll(second, lookUp(second, 'notes').ino), 'hello\0\0world')
  const again = mapRam(second, lookUp(second, 'ram').ino)
  assert.equal(again[5 * MIB], 77)
  guest[0] = 5
  assert.equal(again[0], 5, 'the guest maps what the next server has')
  const region = findRegion({ kind: 'tmpfs', region: folder }, STORES_AND_TMPFS)
  assert.deepEqual(region.probe(probe), { content: 'ours' })
  const chunks = (kind: string) => chunkBlocksOf(kind, STORES_AND_TMPFS)
  assert.deepEqual(checkImage(region.readMetadata(), new State(), chunks), [])
})

test('memory that was cut off reads as zero, and what is unlinked is gone', { skip }, (t) => {
  const folder = makeFolder(t)
  const server = start(folder)
  const { fs, rq } = server
  const free = fs.statfs().freeBlocks
  const { ino } = ok(fs.create(rq(), nameAt(ROOT_INO, 'a'), 0o644))
  ok(fs.write(rq(), ino, 0, Buffer.alloc(100, 'x')))
  ok(fs.setAttributes(rq(), ino, { sizeBytes: 3 }))
  ok(fs.setAttributes(rq(), ino, { sizeBytes: 6 }))
  assert.equal(readAll(server, ino), 'xxx\0\0\0')
  assert.equal(fs.statfs().freeBlocks, free - 1)
  assert.equal(fs.unlink(rq(), nameAt(ROOT_INO, 'a')), undefined)
  assert.equal(fs.evict(rq(), ino), 'gone')
  assert.equal(fs.statfs().freeBlocks, free)
  assert.deepEqual(readdirSync(folder), ['image'])
})

test('what is no tmpfs, and what holds other bytes, is refused', { skip }, (t) => {
  const folder = makeFolder(t)
  const find = (region: string | null) => findRegion({ kind: 'tmpfs', region }, STORES_AND_TMPFS)
  assert.throws(() => find(null), UsageError)
  assert.throws(() => find('/proc'), /\/proc is no folder of a tmpfs/)
  assert.deepEqual(find(folder).probe(probe), { content: 'zero' })
  writeFileSync(join(folder, 'image'), 'somebody was here')
  assert.equal(find(folder).probe(probe).content, 'foreign')
})
