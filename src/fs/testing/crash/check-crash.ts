/**
 * The check of one crash: what a successor recovers from the remains, also after a second crash in its
 * recovery. Throws when a guarantee is broken.
 */
import assert from 'node:assert/strict'
import { BLOCK_BYTES } from '../../../stores/store.ts'
import { ENOSPC } from '../../../values/errno.ts'
import { type ObjectId, ROOT_INO } from '../../../values/ids.ts'
import { Refusal } from '../../../values/refusal.ts'
import { blocksFor, countBlocks } from '../../space/extents.ts'
import type { Inode } from '../../state/inode.ts'
import { checkInvariants, nameAt, ok } from '../fixture.ts'
import { type CrashServer, openServer, remainsOf } from './crash-server.ts'
import { copyOf, type Mistakes, momentOf, replayEvents, type ServerRemains } from './recording.ts'
import { bytesOf, type Contents, contentsOf, MODEL_BYTES, shows } from './shown-contents.ts'

const OWN = { origin: { unique: 0n, epoch: 2 } }

/**
 * `remains` are checked, not changed. The successor makes the same `mistakes` as the server that died. Files
 * must show what `shows` asks of them.
 */
export function checkCrash(
  remains: ServerRemains,
  mistakes: Mistakes,
  expected: Contents,
  maybe?: Contents,
): void {
  // The kernel still references orphans where its connection outlived the server; on a new connection it does
  // not, and recovery evicts them.
  for (const refersToOrphans of [true, false]) {
    checkSuccessor(remains, openServer(copyOf(remains), refersToOrphans, mistakes), expected, maybe)
  }
}

function checkSuccessor(
  remains: ServerRemains,
  successor: CrashServer,
  expected: Contents,
  maybe?: Contents,
): void {
  settled(successor)
  const contents = contentsOf(successor.image.state, successor.store.memory)
  assert.ok(shows(contents, expected, maybe), 'a file shows other bytes than it must')
  checkSecondCrash(remains, successor)
  leaksNothing(successor)
}

/** Checks the invariants, statfs, and that the store holds the objects of the state and no other. */
function settled({ image, fs, store }: CrashServer): void {
  checkInvariants(fs, image, store.descriptor.rules.chunkBlocks)
  const owned = [...image.state.inodes.values()].flatMap(({ object }) => object ?? [])
  const byNumber = (a: ObjectId, b: ObjectId) => a - b
  assert.deepEqual(
    [...store.objects()].sort(byNumber),
    owned.sort(byNumber),
    'an object is lost or left over',
  )
}

/**
 * Wherever recovery itself is interrupted, the next one has the same result. Between records and changes of
 * the memory, that is: what a crash in the middle of a record leaves is no other than above.
 */
function checkSecondCrash(remains: ServerRemains, successor: CrashServer): void {
  const end = momentOf(successor.image)
  replayEvents(copyOf(remains), successor.events, (interrupted, done) => {
    if (done?.kind === 'store') return
    const second = openServer(copyOf(interrupted), successor.refersToOrphans, successor.mistakes)
    settled(second)
    assert.deepEqual(momentOf(second.image), end, 'a second crash leads somewhere else')
  })
  const again = openServer(remainsOf(successor), successor.refersToOrphans, successor.mistakes)
  assert.deepEqual(momentOf(again.image), end, 'recovering twice is not recovering once')
  assert.ok(
    again.events.every(({ kind }) => kind !== 'record'),
    'a second recovery makes a record',
  )
}

/** What new files, and old ones that grow, show of former owners: nothing. */
function leaksNothing(server: CrashServer): void {
  const { fs, store, image } = server
  if (fs.frozen) ok(fs.thaw(OWN) ?? undefined)
  fs.retryOrphans(OWN, () => false)
  for (let extent = fs.dirtyExtent(64); extent !== undefined; extent = fs.dirtyExtent(64)) {
    store.zero(extent)
    assert.equal(fs.markClean(OWN, extent), undefined)
  }
  for (const inode of [...image.state.inodes.values()]) {
    if (inode.kind === 'file' && inode.sizeBytes % BLOCK_BYTES > 0) growsWithZeros(server, inode)
  }
  // Where ordinary files are kept apart neither kind gets every free block, but both together do.
  const { freeBlocks } = fs.statfs()
  const probes = [largestFile(server, 'ram probe', BLOCK_BYTES), largestFile(server, 'probe', 1)]
  assert.equal(countBlocks(probes.flatMap(({ extents }) => extents)), freeBlocks)
  for (const probe of probes)
    assert.ok(
      bytesOf(probe, store.memory).every((byte) => byte === 0),
      'a new file shows bytes of a former owner',
    )
  checkInvariants(fs, image, store.descriptor.rules.chunkBlocks)
}

/**
 * A new file with every block it can get. `firstBytes`: what it is truncated to first, which makes it guest
 * RAM or not.
 */
function largestFile({ fs, rq }: CrashServer, name: string, firstBytes: number): Inode {
  const made = ok(fs.create(rq(), nameAt(ROOT_INO, name), 0o600))
  const sizes = [firstBytes]
  for (let blocks = fs.statfs().freeBlocks; blocks > 0; blocks--) sizes.push(blocks * BLOCK_BYTES)
  let largest = made
  for (const sizeBytes of sizes) {
    const grown = sizeBytes > largest.sizeBytes ? fs.setAttributes(rq(), made.ino, { sizeBytes }) : largest
    if (grown instanceof Refusal) assert.equal(grown, ENOSPC)
    else largest = grown
  }
  return largest
}

function growsWithZeros({ fs, rq, store }: CrashServer, inode: Inode): void {
  const before = bytesOf(inode, store.memory)
  const blocks = blocksFor(inode.sizeBytes)
  const end = (blocks - 1) * MODEL_BYTES + Math.min(MODEL_BYTES, inode.sizeBytes % BLOCK_BYTES)
  const grown = ok(fs.setAttributes(rq(), inode.ino, { sizeBytes: blocks * BLOCK_BYTES }))
  const after = bytesOf(grown, store.memory)
  assert.deepEqual(after.subarray(0, end), before.subarray(0, end))
  assert.ok(
    after.subarray(end).every((byte) => byte === 0),
    `inode ${inode.ino} shows bytes that were cut off`,
  )
}
