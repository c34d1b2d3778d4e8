/** Tests of what is to be done with a pool. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PoolStatus } from '../pool/pool-status.ts'
import { type OverviewFacts, overviewFindings } from './overview-findings.ts'
import { poolStatus } from './testing/pool-status.ts'

const lines = (status: PoolStatus, more: Partial<OverviewFacts> = {}): string[] =>
  overviewFindings({
    status,
    guests: [],
    hasKeeper: true,
    formerKeeper: undefined,
    isUpdating: false,
    hasUpdateRecord: false,
    ...more,
  }).map(({ subject, message, advice = '-' }) => `${subject}: ${message}: ${advice}`)

test('a pool without a fault, with guests that run, has nothing to do', () => {
  assert.deepEqual(lines(poolStatus(), { guests: [{ name: 'web', state: 'running' }] }), [])
  assert.deepEqual(lines(poolStatus(), { guests: null }), [])
})

test('a frozen pool is thawed, unless an update froze it', () => {
  const frozen = poolStatus({ identity: { frozen: true } })
  assert.match(lines(frozen).join(), /^health: frozen: .*: 'guestmemfs thaw p' ends that$/)
  assert.match(lines(frozen, { hasUpdateRecord: true }).join(), /'guestmemfs live-update --abort' undoes/)
  assert.match(
    lines(frozen, { hasUpdateRecord: true, isUpdating: true }).join(),
    /: wait for the live update/,
  )
})

test('files and memory that are not as they should be are counted, with what to do', () => {
  const health = { lostFiles: 1, awaitedFiles: 2, refusedByFormat: 3, badBlocks: 2 }
  assert.deepEqual(lines(poolStatus({ health })), [
    'health: 1 file is lost: delete or empty what is lost: reading it is EIO',
    'health: 2 files are still to be retrieved from the former kernel: wait for the keeper',
    "health: 3 requests are refused, which an image of an older format cannot hold: 'guestmemfs upgrade p'",
    'health: 4M of memory is bad, and goes to no file any more: have the memory replaced',
  ])
})

test('bad memory is told with the files that have it, which root alone sees', () => {
  const health = { badBlocks: 1, badBlocksInFiles: 2 }
  const row = { poolOffsetBytes: 0, lengthBytes: 4 << 20, ino: 5, fileOffsetBytes: 0, file: 'ram' }
  assert.match(
    lines(poolStatus({ health, bad: [row] })).join(),
    /^health: 6M of memory is bad, .*; parts of ram are on it: delete these files .*, and have the memory/,
  )
  const forAll = 'health: 6M of memory is bad, and goes to no file any more: have the memory replaced'
  assert.deepEqual(lines(poolStatus({ health, bad: null })), [forAll])
})

test("a service manager's store that is nearly full is told, and one that is too small", () => {
  const store = (storedFiles: number, unstoredFiles: number) =>
    lines(poolStatus({ health: { storedFiles, unstoredFiles, mostStoredFiles: 24 } })).join()
  assert.equal(store(10, 0), '')
  assert.match(store(20, 0), /^health: 20 of 24 files in the service manager's store: .* has 20 files of 24/)
  assert.match(store(24, 7), /: 7 files are not in the service manager's store/)
})

test('who keeps the memory of deleted files is named once, and a file that nobody maps is no fault', () => {
  const orphan = { ino: 17, kind: 'file', sizeBytes: 9, guestRam: false, blocks: 1 }
  const heldBy = { pid: 5, program: 'qemu' }
  const health = { orphans: 2, orphanBlocks: 2 }
  assert.deepEqual(lines(poolStatus({ health, orphans: [orphan, orphan] })), [])
  const held = lines(
    poolStatus({
      health,
      orphans: [
        { ...orphan, heldBy },
        { ...orphan, heldBy },
      ],
    }),
  )
  assert.match(held.join(), /^health: 4M of deleted files, held by qemu \(process 5\): end what holds/)
  const hidden = { ...orphan, heldBy: { ...heldBy, isUnreadable: true } }
  assert.match(
    lines(poolStatus({ health, orphans: [hidden] })).join(),
    /qemu \(process 5\), which does not show what it maps: end/,
  )
})

test('a handover that failed, a keeper that died, and one of another version', () => {
  const failure = { errno: 'ENOMEM', path: 'ram' }
  const handover = { step: 'files', state: 'failed', memories: 2, preserved: 1, failure, holeBytes: 0 }
  assert.deepEqual(lines(poolStatus({ handover })), [
    "health: preserving it for the next kernel failed (ENOMEM, ram): 'guestmemfs thaw p' unpreserves it",
  ])
  assert.match(
    lines(poolStatus(), { hasKeeper: false }).join(),
    /: 'guestmemfs mount p \/mnt\/p' has another/,
  )
  const formerKeeper = { pool: 'p', pid: 9, advice: 'systemctl restart guestmemfs@p' }
  assert.match(lines(poolStatus(), { formerKeeper }).join(), /^processes: process 9 .*: 'systemctl restart /)
})

test('guests that do not run are named with what brings them back, but not while an update runs', () => {
  const guests = [
    { name: 'a', state: 'saved' },
    { name: 'b', state: 'saved' },
    { name: 'c', state: 'stopped' },
    { name: 'd', state: 'dead' },
    { name: 'e', state: 'running' },
  ] as const
  assert.deepEqual(lines(poolStatus(), { guests }), [
    "guests: c: stopped by an update: 'guestmemfs resume' continues what an update has stopped",
    "guests: a, b: saved: 'guestmemfs resume' starts what is saved",
    "guests: d: dead: 'guestmemfs run --replace' starts anew what is dead: its QEMU was killed",
  ])
  assert.deepEqual(lines(poolStatus(), { guests, isUpdating: true }), [])
})
