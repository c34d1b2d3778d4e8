import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { GuestNodes } from './guest-nodes.ts'

test('every user may go to the nodes, whatever the umask is or was', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nodes-'))
  const before = process.umask(0o077)
  t.after(() => {
    process.umask(before)
    rmSync(folder, { recursive: true })
  })
  const root = join(folder, 'dev')
  const modes = () => [root, join(root, 'pool')].map((path) => statSync(path).mode & 0o7777)
  new GuestNodes(root, 'pool')
  assert.deepEqual(modes(), [0o755, 0o755])
  // As a former version left it.
  chmodSync(root, 0o750)
  new GuestNodes(root, 'pool')
  assert.deepEqual(modes(), [0o755, 0o755])
})
