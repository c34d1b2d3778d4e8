/**
 * Tests that a copy of a RAM file, which has the xattrs of the file as well, is the RAM of no VM: it blocks
 * nothing, and no guest is resumed with it.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { renameSync, truncateSync } from 'node:fs'
import { test } from 'node:test'
import { lgetxattr } from '../../src/linux/xattr.ts'
import { RAM_CLAIMS_XATTR } from '../../src/values/xattr-names.ts'
import { guestmemfs, mountTestPool } from '../mount/support.ts'
import { goesOn, oneNode, startSavable } from './spread-guest.ts'
import { monitor, resumeVms, vmName } from './support.ts'

/** As `cp -a` makes it of a file that is guest RAM and has no bytes yet: with all of its xattrs. */
function copy(from: string, to: string): string {
  execFileSync('cp', ['-a', '--attributes-only', from, to])
  truncateSync(to, 64 << 20)
  assert.ok(lgetxattr(to, RAM_CLAIMS_XATTR) instanceof Uint8Array, 'the copy has the xattr')
  return to
}

test('a copy of a RAM file is free for another guest, in its own pool and in another', async (t) => {
  const spread = await startSavable(t, 'copied')
  const { first, second, save } = spread
  const third = await mountTestPool(t, { size: '128M' })
  await save()
  const copies = [
    copy(second.path('copied'), second.path('copy')),
    // Inodes of two pools may have one number.
    copy(second.path('copied'), third.path('copied')),
  ]
  assert.equal((await guestmemfs('umount', first.mountPoint)).status, 0)
  for (const path of copies) {
    const name = vmName('taker')
    const taken = await guestmemfs('run', '--name', name, '--', ...oneNode(path))
    assert.equal(taken.status, 0, taken.stderr)
    await monitor(name, 'quit').catch(() => {})
  }
  const refused = await guestmemfs('run', '--name', vmName('taker'), '--', ...oneNode(second.path('copied')))
  assert.match(refused.stderr, /is RAM of VM copied-\d+, which is recorded on/)
  assert.equal((await guestmemfs('mount', first.pool, first.mountPoint)).status, 0)
  assert.equal((await resumeVms(first)).status, 0)
  await goesOn(spread)
})

test('a copy in the place of a RAM file is not taken for it', async (t) => {
  const spread = await startSavable(t, 'put')
  const { vm, first, second, save } = spread
  await save()
  const ram = second.path('put')
  renameSync(ram, `${ram}.moved`)
  copy(`${ram}.moved`, ram)
  const { report } = await resumeVms(first, '--timeout', '500ms')
  assert.match(
    report.vms[0]?.problem ?? '',
    new RegExp(`${ram} is not the RAM file that VM ${vm.name} had: mount the pool that it was in`),
  )
  renameSync(`${ram}.moved`, ram)
  assert.equal((await resumeVms(first)).status, 0)
  await goesOn(spread)
})
