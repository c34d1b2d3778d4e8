/** The nodes of a pool on a tmpfs of the machine's own, with /dev/null and /dev/zero as devices. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ENOSPC, EROFS } from '../../values/errno.ts'
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

test('a file system without room, or read-only, is an answer, and the node stays as it was', {
  skip,
}, (t) => {
  const folder = mkdtempSync('/dev/shm/guest-nodes-')
  t.after(() => {
    execFileSync('umount', [folder])
    rmSync(folder, { recursive: true })
  })
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'nr_inodes=20', 'tmpfs', folder])
  const nodes = new GuestNodes(join(folder, 'guestmemfs'), 'pool')
  const [object, owner] = [7 as ObjectId, { uid: 107, gid: 108, mode: 0o600 }]
  assert.equal(nodes.make(object, '1:3', owner), undefined)
  assert.throws(() => {
    for (let file = 0; ; file++) writeFileSync(join(folder, `${file}`), '')
  }, /ENOSPC/)
  assert.equal(nodes.make(object, '1:3', { ...owner, mode: 0o666 }), ENOSPC)
  assert.deepEqual(nodes.owner(object, '1:3'), { ...owner, device: '1:3' })
  execFileSync('mount', ['-o', 'remount,ro', folder])
  assert.equal(nodes.make(object, '1:3', { ...owner, mode: 0o666 }), EROFS)
  assert.equal(nodes.remove(object), EROFS)
  assert.deepEqual(nodes.owner(object, '1:3'), { ...owner, device: '1:3' })
})
