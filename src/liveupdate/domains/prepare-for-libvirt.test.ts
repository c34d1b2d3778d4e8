import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { bootId } from '../../linux/boot-id.ts'
import { lockUpdates } from '../../run/update-lock.ts'
import { thawForLibvirt } from './prepare-for-libvirt.ts'

test("a pool is thawed for libvirt's daemon, but not under an update of this kernel", (t) => {
  const run = mkdtempSync(join(tmpdir(), 'before-libvirt-'))
  t.after(() => rmSync(run, { recursive: true }))
  const thawed: string[] = []
  const before = (recorded: string | undefined): void =>
    thawForLibvirt(
      { pool: 'guests', mountPoint: '/mnt/guests' },
      {
        bootIdOf: () => recorded,
        lock: () => lockUpdates(run),
        thaw: ({ mountPoint }) => void thawed.push(mountPoint),
      },
    )
  // The operator has frozen it, or nobody has.
  before(undefined)
  assert.deepEqual(thawed, [])
  const unlock = lockUpdates(run)
  assert.throws(
    () => before(bootId()),
    /^UsageError: \/mnt\/guests is not thawed: a live update of the kernel is under way: .*systemctl restart/,
  )
  assert.deepEqual(thawed, [])
  // The resumption in the next kernel has the lock.
  before('of the former kernel')
  assert.equal(thawed.length, 1)
  unlock()
  // An update of this kernel was killed.
  before(bootId())
  assert.equal(thawed.length, 2)
  before(bootId())
  assert.equal(thawed.length, 3, 'the lock was released')
})
