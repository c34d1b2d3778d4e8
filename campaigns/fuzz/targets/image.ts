/**
 * Any bytes as an image: it opens, or `CorruptBytesError` refuses it with no byte changed; fsck and dump
 * never write; and an image that opened must open again, with the same contents.
 */
import assert from 'node:assert/strict'
import { dumpImage } from '../../../src/fs/image/dump-image.ts'
import { checkImage } from '../../../src/fs/image/fsck-image.ts'
import { Image } from '../../../src/fs/image/image.ts'
import { packImage, unpackImage } from '../../../src/fs/image/packed-image.ts'
import { State } from '../../../src/fs/state/state.ts'
import { fixture, n, nameAt, ok, ROOT } from '../../../src/fs/testing/fixture.ts'
import { chunkBlocksOf } from '../../../src/stores/registry.ts'
import { CorruptBytesError } from '../../../src/values/errors.ts'
import { orRefused, type Target } from '../target.ts'

const UUID = new Uint8Array(16).fill(7)
const VERSIONS = [1, 2] as const
const STORE = { storeKind: 'memfd' }

export const image: Target = {
  isJson: false,
  dictionary: ['GUESTMEM', 'guestmem', 'memfd', 'dax', Buffer.from('ffffffff00000000', 'hex')],
  seeds: () =>
    VERSIONS.map((version) =>
      packImage({ poolName: 'pool', totalBlocks: 16, uuid: UUID, ...STORE }, sampleState(), version),
    ),
  run: (input) => readImage(Uint8Array.from(input)),
}

/** No reader may change the area, and `Image.open` only where it does not refuse. */
export function readImage(area: Uint8Array): void {
  const before = area.slice()
  const untouched = (who: string): void =>
    assert.ok(Buffer.compare(area, before) === 0, `${who} changed the area`)
  const findings = checkImage(area, new State(), chunkBlocksOf)
  untouched('fsck')
  orRefused(() => dumpImage(area), CorruptBytesError)
  untouched('dump')
  const target = new Uint8Array(64 * 1024)
  const unpack = (): true => {
    unpackImage(area, STORE, new State(), target)
    return true
  }
  const unpacked = orRefused(unpack, CorruptBytesError)
  untouched('unpacking')
  if (unpacked === undefined)
    assert.ok(
      target.every((byte) => byte === 0),
      'a refused image was unpacked',
    )
  const opened = orRefused(() => Image.open(area, STORE, new State()), CorruptBytesError)
  if (opened === undefined) {
    untouched('a refused open')
    assert.ok(
      findings.some(({ severity }) => severity === 'error') || unpacked === undefined,
      'fsck found nothing',
    )
    return
  }
  const again = Image.open(area, STORE, new State())
  assert.deepEqual(
    [...again.state.entries()],
    [...opened.state.entries()],
    'the next server finds another state',
  )
}

/** One of everything. */
export function sampleState(): State {
  const fx = fixture()
  const { fs, rq, file } = fx
  const folder = ok(fs.mkdir(rq(), nameAt(ROOT, 'folder'), 0o755))
  const ino = file('text', 5)
  ok(fs.link(rq(), ino, nameAt(folder.ino, 'again')))
  file('ram', 4 * 2 ** 20)
  ok(fs.symlink(rq(), nameAt(ROOT, 'link'), n('/nowhere')))
  fs.setXattr(rq(), ino, n('user.x'), Buffer.from('value'), 0)
  return fx.journal.state
}
