/**
 * Tests that the kernel does not ask the server again for attributes that it has cached, birth times
 * included.
 */
import assert from 'node:assert/strict'
import { closeSync, openSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { cannotMount, mountTestPool, shell } from './support.ts'

test('a stat after a create is answered while no server answers', {
  skip: cannotMount,
  timeout: 60_000,
}, async (t) => {
  const pool = await mountTestPool(t)
  const path = join(pool.mountPoint, 'first')
  closeSync(openSync(path, 'wx'))
  // stat(1) asks for the birth time. The first answer tells the kernel that there is none.
  assert.equal(shell(`stat -c %W ${path}`).trim(), '0')
  const later = join(pool.mountPoint, 'later')
  closeSync(openSync(later, 'wx', 0o640))
  statSync(pool.mountPoint)
  const server = pool.serverPid()
  process.kill(server, 'SIGSTOP')
  try {
    assert.equal(shell(`timeout 10 stat -c '%a %s %W' ${later}`).trim(), '640 0 0')
  } finally {
    process.kill(server, 'SIGCONT')
  }
})
