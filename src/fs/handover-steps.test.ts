import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Handover, HandoverStatus } from '../stores/store.ts'
import { EBUSY, EINVAL, EIO, EMFILE, type Errno } from '../values/errno.ts'
import type { HandoverStep } from '../values/handover-step.ts'
import type { ObjectId } from '../values/ids.ts'
import { WAIT_FOR_STORE } from '../values/refusal.ts'
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../values/uapi.ts'
import { unpackImage } from './image/packed-image.ts'
import { State } from './state/state.ts'
import { blocks, fixtureOver, n, nameAt, ok, ROOT } from './testing/fixture.ts'
import { MemoryStore } from './testing/memory-store.ts'
import { PlainJournal } from './testing/plain-journal.ts'

const IDLE: HandoverStatus = { step: 'none', state: 'idle', objects: 0, preserved: 0, failure: undefined }

/** A handover that records its calls; the test does its work. */
class Asked implements Handover {
  status: HandoverStatus = IDLE
  readonly left: [string, readonly ObjectId[]][] = []
  image: Uint8Array | undefined
  readonly #store: HandedStore

  constructor(store: HandedStore) {
    this.#store = store
  }
  refusal(step: HandoverStep): Errno | undefined {
    const { state, step: last } = this.status
    if (state !== 'idle' && state !== 'done') return EBUSY
    const follows = { ram: ['none'], files: ['none', 'ram'], image: ['files'] }[step].includes(last)
    return follows ? undefined : EINVAL
  }
  preserve(step: 'ram' | 'files', objects: readonly ObjectId[]): void {
    this.left.push([step, objects])
    for (const object of objects) this.#store.states.set(object, 'outgoing')
    this.status = { ...IDLE, step, state: 'busy' }
  }
  preserveImage(image: Uint8Array): undefined {
    this.image = image
    this.status = { ...IDLE, step: 'image', state: 'busy' }
  }
  unpreserve(): void {
    this.#store.states.clear()
    this.status = IDLE
  }
  recover(): void {}
  absent(state: 'incoming' | 'lost'): number {
    return [...this.#store.states.values()].filter((each) => each === state).length
  }
  holeBytes(objects: Iterable<ObjectId>): number {
    return [...objects].length
  }
  done(): void {
    this.status = { ...this.status, state: 'done' }
  }
}

class HandedStore extends MemoryStore {
  override readonly handover: Asked = new Asked(this)
}

function handed() {
  const store = new HandedStore({ clearing: 'kernel', totalBlocks: 32 })
  const fx = fixtureOver(new PlainJournal(32), store)
  const ask = (word: string) =>
    fx.fs.setXattr(fx.rq(), ROOT, n('trusted.guestmemfs.handover'), Buffer.from(word), 0)
  const says = () => JSON.parse(Buffer.from(ok(fx.fs.getXattr(ROOT, n('guestmemfs.handover')))).toString())
  const memory = (ino: Parameters<typeof fx.stat>[0]) => fx.stat(ino).object as ObjectId
  return { ...fx, store, asked: store.handover, ask, says, memory }
}

test('guest RAM is preserved while the pool is used, the rest once it is frozen, and last the image', () => {
  const { fs, rq, file, asked, ask, memory } = handed()
  const [ram, plain] = [file('ram', blocks(3)), file('plain', 100)]
  const gone = file('gone', blocks(1))
  fs.unlink(rq(), nameAt(ROOT, 'gone'))
  assert.equal(ask('files'), EBUSY)
  assert.equal(ask('image'), EINVAL)
  assert.equal(ask('ram'), undefined)
  assert.deepEqual(asked.left, [['ram', [memory(ram)]]], `${gone} is an orphan`)
  assert.equal(ask('files'), EBUSY, 'a step is under way')
  asked.done()
  const late = file('late', blocks(2))
  assert.equal(fs.freeze(rq()), undefined)
  assert.equal(ask('ram'), EINVAL)
  assert.equal(ask('files'), undefined)
  assert.deepEqual(asked.left[1], ['files', [memory(plain), memory(late)]])
  asked.done()
  assert.equal(ask('image'), undefined)
  const unpacked = new State()
  unpackImage(asked.image ?? assert.fail(), { storeKind: 'memfd' }, unpacked, new Uint8Array(1024 * 1024))
  assert.equal(unpacked.pool.frozen, true)
  assert.equal(unpacked.inodes.get(ram)?.sizeBytes, blocks(3))
})

test('the report: the step, what failed and which object it was about, and what preserving would cost', () => {
  const { file, asked, ask, says, memory } = handed()
  const ram = file('ram', blocks(3))
  assert.deepEqual(says(), {
    step: 'none',
    state: 'idle',
    memories: 0,
    preserved: 0,
    failure: null,
    holeBytes: 1,
  })
  ask('ram')
  asked.status = { ...asked.status, state: 'failed', failure: { errno: EMFILE, object: memory(ram) } }
  assert.deepEqual(says().failure, { errno: 'EMFILE', path: 'ram' })
  assert.equal(says().holeBytes, 0)
  assert.equal(ask('ram'), EBUSY)
  assert.equal(ask('none'), undefined)
  assert.equal(ask('ram'), undefined)
  assert.equal(ask('quickly'), EINVAL)
})

test('thawing unpreserves everything, and freezing does not', () => {
  const { fs, rq, file, asked, ask, store } = handed()
  file('ram', blocks(3))
  ask('ram')
  asked.done()
  fs.freeze(rq())
  assert.equal(asked.status.state, 'done')
  fs.thaw(rq())
  assert.equal(asked.status.state, 'idle')
  assert.equal(store.states.size, 0)
})

test('an outgoing object keeps its size and its bytes, and everything else of its file can change', () => {
  const { fs, rq, file, ask, stat } = handed()
  const ram = file('ram', blocks(3))
  ask('ram')
  assert.equal(fs.setAttributes(rq(), ram, { sizeBytes: blocks(2) }), EBUSY)
  assert.equal(fs.setAttributes(rq(), ram, { sizeBytes: blocks(4) }), EBUSY)
  assert.equal(fs.setAttributes(rq(), ram, { sizeBytes: 0 }), EBUSY)
  assert.equal(fs.fallocate(rq(), ram, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), EBUSY)
  assert.equal(fs.fallocate(rq(), ram, 0, 0, blocks(4)), EBUSY)
  ok(fs.setAttributes(rq(), ram, { sizeBytes: blocks(3), mode: 0o600 }))
  assert.equal(stat(ram).mode, 0o600)
  assert.equal(fs.rename(rq(), nameAt(ROOT, 'ram'), nameAt(ROOT, 'moved'), 0), undefined)
})

test('callers that need an object which is not retrieved yet wait, and no others', () => {
  const { fs, rq, file, store, memory, ask, stat } = handed()
  const [ram, plain] = [file('ram', blocks(3)), file('plain', 100)]
  store.states.set(memory(ram), 'incoming').set(memory(plain), 'incoming')
  assert.equal(fs.setAttributes(rq(), ram, { sizeBytes: 0 }), WAIT_FOR_STORE)
  assert.equal(fs.write(rq(), plain, 90, new Uint8Array(50)), WAIT_FOR_STORE)
  assert.equal(stat(plain).sizeBytes, 100)
  ok(fs.setAttributes(rq(), ram, { mode: 0o600 }))
  assert.equal(ask('ram'), EBUSY)
  const health = JSON.parse(Buffer.from(ok(fs.getXattr(ROOT, n('guestmemfs.health')))).toString())
  assert.equal(health.awaitedFiles, 2)
  const map = JSON.parse(Buffer.from(ok(fs.getXattr(ram, n('guestmemfs.map')))).toString())
  assert.equal(map.kind, 'awaited')
})

test('a file whose object is lost exists, is reported as lost, and can be emptied or deleted', () => {
  const { fs, rq, file, store, memory, asked, ask } = handed()
  const [ram, other] = [file('ram', blocks(3)), file('other', blocks(1))]
  store.states.set(memory(ram), 'lost')
  assert.equal(fs.setAttributes(rq(), ram, { sizeBytes: blocks(1) }), EIO)
  const map = JSON.parse(Buffer.from(ok(fs.getXattr(ram, n('guestmemfs.map')))).toString())
  assert.deepEqual(map, { kind: 'lost', sizeBytes: blocks(3), alignBytes: blocks(1) })
  ask('ram')
  assert.deepEqual(asked.left, [['ram', [memory(other)]]])
  ask('none')
  store.states.set(memory(ram), 'lost')
  ok(fs.setAttributes(rq(), ram, { sizeBytes: 0 }))
  assert.equal(fs.unlink(rq(), nameAt(ROOT, 'ram')), undefined)
})
