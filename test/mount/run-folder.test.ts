/**
 * A /run that is full or read-only: a takeover of a pool works, or is refused in one line and has changed
 * nothing.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { processStartTime } from '../../src/linux/process.ts'
import { POOLS } from '../../src/run/paths.ts'
import { otherTree } from './other-tree.ts'
import { smallRun } from './small-run.ts'
import {
  beforeUnmount,
  cannotMount,
  kill,
  type Outcome,
  testMountPoint,
  testPoolName,
  until,
} from './support.ts'

const options = { skip: cannotMount, timeout: 120_000 }

const succeeded = ({ stderr, status }: Outcome): void => assert.deepEqual([stderr, status], ['', 0])

test(
  '/run is full: a keeper whose files are replaced gives the pool over all the same',
  options,
  async (t) => {
    const pool = testPoolName(t)
    const mountPoint = testMountPoint(t)
    const tree = otherTree(t)
    const { inside, cli, fill, makeRoom } = await smallRun(t, tree.folder)
    beforeUnmount(t, () => cli('umount', '--discard', pool))
    succeeded(await cli('mount', pool, mountPoint, '-o', 'size=64M'))
    succeeded(await inside('sh', '-c', `echo kept >${mountPoint}/text`))
    const record = async () => JSON.parse((await inside('cat', `${POOLS}/${pool}.json`)).stdout)
    const { keeper, server } = await record()
    await fill()
    tree.change('src/server/serve-connection.ts', '/**', '/** Of a later version.\n *')
    await kill(server.pid)
    assert.equal((await inside('timeout', '60', 'cat', `${mountPoint}/text`)).stdout, 'kept\n')
    await until('the former keeper has ended', () => processStartTime(keeper.pid) === undefined)
    await until('the record names the next keeper', async () => (await record()).keeper.pid !== keeper.pid)

    await t.test('and `umount`, `mount` and a takeover work as before', async () => {
      assert.match((await cli('umount', pool)).stdout, /unmounted and parked/)
      assert.equal((await record()).state, 'parked')
      assert.match((await cli('mount', pool, mountPoint)).stdout, /found again/)
      await kill((await record()).keeper.pid)
      assert.match((await cli('mount', pool, mountPoint)).stdout, /a new one took over/)
      assert.equal((await inside('cat', `${mountPoint}/text`)).stdout, 'kept\n')
      const { stdout } = await inside('sh', '-c', `ls ${POOLS}`)
      assert.doesNotMatch(stdout, /\.new$/m, 'what could not be written is not left behind')
    })
    await makeRoom()
    succeeded(await cli('umount', '--discard', pool))
  },
)

test('/run is read-only for a command: refused by its reason, and nothing has ended', options, async (t) => {
  const pool = testPoolName(t)
  const { inside, cli, cliReadOnly } = await smallRun(t)
  beforeUnmount(t, () => cli('umount', '--discard', pool))
  const mountPoint = testMountPoint(t)
  succeeded(await cli('mount', pool, mountPoint, '-o', 'size=64M'))
  succeeded(await inside('sh', '-c', `echo kept >${mountPoint}/text`))
  const isServed = async () =>
    assert.equal((await inside('timeout', '20', 'cat', `${mountPoint}/text`)).stdout, 'kept\n')
  const refused = ({ status, stderr }: Outcome): void => {
    assert.equal(status, 1)
    assert.match(stderr, /^guestmemfs: \S+ cannot be written \(EROFS\): 'mount -o remount,rw \/run' first\n$/)
  }
  const record = async () => JSON.parse((await inside('cat', `${POOLS}/${pool}.json`)).stdout)
  const { keeper, server } = await record()

  refused(await cliReadOnly('umount', '--discard', pool))
  refused(await cliReadOnly('mount', `${pool}-other`, '/mnt'))
  await isServed()
  assert.deepEqual([(await record()).keeper, (await record()).server], [keeper, server])
  assert.match((await cli('umount', pool)).stdout, /unmounted and parked/)
  refused(await cliReadOnly('mount', pool, mountPoint))
  assert.notEqual(processStartTime(keeper.pid), undefined)
  assert.match((await cli('mount', pool, mountPoint)).stdout, /found again/)
  await isServed()

  await t.test('a server without a keeper serves on', async () => {
    await kill((await record()).keeper.pid)
    refused(await cliReadOnly('mount', pool, mountPoint))
    await isServed()
    assert.match((await cli('mount', pool, mountPoint)).stdout, /a new one took over/)
    await isServed()
  })
})
