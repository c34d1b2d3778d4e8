/** Processes of a takeover that hang: none of them keeps the pool from its callers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isStopped, processStartTime } from '../../src/linux/process.ts'
import { otherTree } from './other-tree.ts'
import { assertRefused, use } from './region-pool.ts'
import { cannotMount, kill, shell, testMountPoint, testPool, testPoolName } from './support.ts'

const options = { skip: cannotMount, timeout: 120_000 }

test('a next server that hangs at its start is ended, and the former one goes on', options, async (t) => {
  const tree = otherTree(t, ['src/keeper/server-process.ts', '_TIMEOUT_MS = 30_000', '_TIMEOUT_MS = 2_000'])
  const pool = testPool(testPoolName(t), testMountPoint(t))
  const mount = () => tree.run('mount', pool.pool, pool.mountPoint)
  const made = await tree.run('mount', pool.pool, pool.mountPoint, '-o', 'size=64M')
  assert.deepEqual([made.stderr, made.status], ['', 0])
  const goesOn = await use(t, pool)
  const server = pool.serverPid()
  await kill(pool.keeperPid())
  const reads = "await link.expect('open')\n"
  const hangs = `${reads}await new Promise((resolve) => setTimeout(resolve, 600_000))\n`
  tree.change('src/server/main.ts', reads, hangs)
  assertRefused(await mount(), /its next server did not read the image within 2 s and was ended/)
  // Before this process touches the mount: it would wait for ever for a server that stands still.
  assert.ok(processStartTime(server) !== undefined && !isStopped(server))
  await goesOn()
  assert.equal(shell(`pgrep -c -f '${tree.folder}/[s]rc/server/main'`), '1\n')
  tree.change('src/server/main.ts', hangs, reads)
  const adopted = await mount()
  assert.deepEqual([adopted.stderr, adopted.status], ['', 0])
  await goesOn()
})
