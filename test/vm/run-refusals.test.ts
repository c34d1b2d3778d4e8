/**
 * Owns the messages of `run` about RAM files that it cannot use: the reason, and the command that corrects
 * it.
 */
import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { guestmemfs } from '../mount/support.ts'
import { mountVmPool, QEMU, ramOptions, SMALL_MACHINE, type VmPool, vmName } from './support.ts'

const run = (pool: VmPool, file: string, ...words: string[]) =>
  guestmemfs(
    ...['run', '--name', vmName('refused'), '--mount', pool.mountPoint, ...words, '--', QEMU],
    ...[...SMALL_MACHINE, ...ramOptions(pool.path(file), '2M')],
  )

test('a RAM file that was written by dd or cp', async (t) => {
  const pool = await mountVmPool(t)
  writeFileSync(pool.path('written'), Buffer.alloc(2 << 20, 1))
  const { status, stderr } = await run(pool, 'written')
  assert.equal(status, 1)
  assert.match(
    stderr,
    /was written as an ordinary one and is no guest RAM: make it anew \('rm', then 'truncate -s'\)/,
  )
})

test('a directory that is root’s, and a QEMU that is not', async (t) => {
  const pool = await mountVmPool(t)
  chmodSync(pool.mountPoint, 0o755)
  const { status, stderr } = await run(pool, 'ram', '--user', 'nobody')
  assert.equal(status, 1)
  assert.match(stderr, /permission denied to nobody, as whom QEMU runs: 'chown nobody .*', or --user root/)
})
