/** No xattr and no command shows a user names in directories that the user may not read. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { setxattr } from '../../src/linux/xattr.ts'
import { cannotMount, guestmemfsAsStranger, mountTestPool, nodeAsStranger, printed } from './support.ts'

const READ = fileURLToPath(new URL('read-xattrs.ts', import.meta.url))
const SECRET = 'only-for-its-owner'
const LISTS = ['vms', 'vms.0', 'ram', 'bad', 'orphans', 'handover'].map((name) => `guestmemfs.${name}`)
const FOR_ALL = ['pool', 'geometry', 'health', 'server'].map((name) => `guestmemfs.${name}`)

test('names in a closed directory', { skip: cannotMount, timeout: 90_000 }, async (t) => {
  const pool = await mountTestPool(t)
  fs.mkdirSync(pool.path('closed'), { mode: 0o700 })
  const ram = pool.path('closed', SECRET)
  fs.writeFileSync(ram, '')
  fs.truncateSync(ram, 4 * 2 ** 20)
  assert.equal(setxattr(ram, 'trusted.guestmemfs.vm', Buffer.from('{"name":"guest"}')), undefined)

  await t.test(
    'what the root reports of files is refused to other users, and what it reports of the pool is not',
    async () => {
      const { stdout, stderr } = await nodeAsStranger([READ, '.', ...LISTS, ...FOR_ALL], {
        cwd: pool.mountPoint,
      })
      assert.equal(stderr, '')
      const said = JSON.parse(stdout) as Record<string, string>
      for (const name of LISTS) assert.equal(said[name], 'EPERM', name)
      for (const name of FOR_ALL) assert.match(said[name] ?? '', /^\{"/, name)
      assert.doesNotMatch(stdout, new RegExp(SECRET))
    },
  )

  await t.test(
    'status and list work for others without a name, and vms says that it needs root',
    async () => {
      const [status, asJson, list, vms] = await Promise.all([
        guestmemfsAsStranger('status', pool.pool),
        guestmemfsAsStranger('status', pool.pool, '--json'),
        guestmemfsAsStranger('list'),
        guestmemfsAsStranger('vms', pool.mountPoint),
      ])
      for (const { stdout, stderr } of [status, asJson, list, vms])
        assert.doesNotMatch(stdout + stderr, new RegExp(SECRET))
      assert.deepEqual([status.status, asJson.status, list.status, vms.status], [0, 0, 0, 1], status.stderr)
      assert.match(status.stdout, /^guests +shown to root alone$/m)
      assert.equal((JSON.parse(asJson.stdout) as { vms: unknown }).vms, null)
      assert.match(list.stdout, new RegExp(`^${pool.pool} +mounted`, 'm'))
      assert.match(vms.stderr, /^guestmemfs: .* shows only root what files are in it .*: run it with sudo\n$/)
    },
  )

  await t.test('root can read all of it', async () => {
    const { vms } = await printed('status', pool.pool)
    assert.deepEqual(vms, [{ path: `closed/${SECRET}`, ino: fs.statSync(ram).ino, name: 'guest' }])
  })
})
