/**
 * The files that the pool holds at each simulated crash: one of each kind, an orphan, blocks that wait for
 * zeroing, a bad one. Each file is filled with a byte of its own, so that each byte that is read shows whose
 * it is.
 */
import assert from 'node:assert/strict'
import { BLOCK_BYTES } from '../../../stores/store.ts'
import { byteString, type Ino, ROOT_INO } from '../../../values/ids.ts'
import { nameAt, ok } from '../fixture.ts'
import type { CrashServer } from './crash-server.ts'
import { MODEL_BYTES } from './shown-contents.ts'

export function populate(server: CrashServer): void {
  const { fs, rq } = server
  const directory = (parent: Ino, name: string) => ok(fs.mkdir(rq(), nameAt(parent, name), 0o755)).ino
  const dir = directory(ROOT_INO, 'dir')
  directory(ROOT_INO, 'empty')
  const file = (parent: Ino, name: string, sizeBytes: number, tag: number): Ino => {
    const { ino } = ok(fs.create(rq(), nameAt(parent, name), 0o644))
    tagged(server, ino, sizeBytes, tag)
    return ino
  }
  directory(dir, 'hollow')
  const inner = file(dir, 'inner', 12, 0x11)
  ok(fs.setAttributes(rq(), inner, { mode: 0o6755 }))
  ok(fs.setXattr(rq(), inner, byteString('security.capability'), Uint8Array.of(2), 0))
  file(ROOT_INO, 'plain', 12, 0x22)
  file(ROOT_INO, 'other', 10, 0x33)
  file(ROOT_INO, 'ram', 3 * BLOCK_BYTES, 0x44)
  file(ROOT_INO, 'nothing', 0, 0)
  ok(fs.link(rq(), server.at('dir/inner') as Ino, nameAt(ROOT_INO, 'second')))
  ok(fs.symlink(rq(), nameAt(ROOT_INO, 'symlink'), byteString('plain')))
  ok(fs.setXattr(rq(), server.at('plain') as Ino, byteString('user.old'), Uint8Array.of(1, 2, 3), 0))
  const gone = file(ROOT_INO, 'gone', 2 * BLOCK_BYTES, 0x55)
  ok(fs.unlink(rq(), nameAt(ROOT_INO, 'gone')))
  assert.equal(fs.evict({ origin: rq().origin }, gone), 'gone')
  server.image.commit(rq().origin, [{ kind: 'blocks', extent: { start: 12, count: 1 }, state: 'bad' }])
  file(ROOT_INO, 'orphan', BLOCK_BYTES, 0x66)
  ok(fs.unlink(rq(), nameAt(ROOT_INO, 'orphan')))
}

/**
 * Makes a file `sizeBytes` large and fills it with `tag`, in the memory itself, as a guest that maps it does.
 */
function tagged({ fs, rq, store }: CrashServer, ino: Ino, sizeBytes: number, tag: number): void {
  if (sizeBytes === 0) return
  const { object: memory } = ok(fs.setAttributes(rq(), ino, { sizeBytes }))
  for (let offset = 0; offset < sizeBytes; offset += BLOCK_BYTES) {
    const length = Math.min(MODEL_BYTES, sizeBytes - offset)
    if (memory !== undefined) store.memory.write(memory, offset, new Uint8Array(length).fill(tag))
  }
}
