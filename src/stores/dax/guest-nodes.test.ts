/** The nodes of a pool on a tmpfs of the machine's own, with /dev/null and /dev/zero as devices. */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { ObjectId } from '../../values/ids.ts'
import { GuestNodes } from './guest-nodes.ts'

const skip = process.getuid?.() !== 0 ? 'needs root' : false
const modeOf = (path: string) => statSync(path).mode & 0o7777

test('whatever the umask, every user may enter the folders of a node, and the node has its own owner and mode', {
  skip,
}, (t) => {
  const folder = mkdtempSync('/dev/shm/guest-nodes-')
  const umask = process.umask(0o077)
  t.after(() => {
    process.umask(umask)
    rmSync(folder, { recursive: true })
  })
  const root = join(folder, 'guestmemfs')
  mkdirSync(root)
  chmodSync(root, 0o750)
  const nodes = new GuestNodes(root, 'pool')
  assert.deepEqual([modeOf(root), modeOf(join(root, 'pool'))], [0o755, 0o711])
  const object = 7 as ObjectId
  for (const owner of [
    { uid: 107, gid: 108, mode: 0o600 },
    { uid: 1, gid: 2, mode: 0o1666 },
  ]) {
    nodes.make(object, '1:3', owner)
    const { uid, gid, mode } = statSync(nodes.path(object))
    assert.deepEqual({ uid, gid, mode: mode & 0o7777 }, owner)
    assert.deepEqual(nodes.owner(object, '1:3'), { ...owner, device: '1:3' })
    assert.equal(nodes.owner(object, '1:5'), undefined)
  }
})
