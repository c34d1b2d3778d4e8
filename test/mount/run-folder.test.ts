/**
 * A /run that is full or read-only: a takeover of a pool works, or is refused in one line and has changed
 * nothing.
 */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { processStartTime } from '../../src/linux/process.ts'
import { SPARE } from '../../src/run/atomic-file.ts'
import { POOLS } from '../../src/run/paths.ts'
import { otherTree } from './other-tree.ts'
import { assertMountedFull, smallRun } from './small-run.ts'
import {
  beforeUnmount,
  CLI,
  cannotMount,
  kill,
  type Outcome,
  printedIn,
  TREE,
  testMountPoint,
  testPoolName,
  until,
} from './support.ts'
import { cannotRunSystemd, startUnitHost } from './systemd-host.ts'

const options = { skip: cannotMount, timeout: 120_000 }

const succeeded = ({ stderr, status }: Outcome): void => assert.deepEqual([stderr, status], ['', 0])

test(
  '/run is full: the pool of a keeper whose files are replaced is taken over all the same',
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

test('/run is full when guests come back: the pool is mounted, and says so', options, async (t) => {
  const pool = testPoolName(t)
  const mountPoint = testMountPoint(t)
  const { inside, cli, fillRun, makeRoom } = await smallRun(t)
  beforeUnmount(t, () => cli('umount', '--discard', pool))
  await fillRun()
  assertMountedFull(await cli('mount', pool, mountPoint, '-o', 'size=64M'))
  succeeded(await inside('sh', '-c', `echo kept >${mountPoint}/text`))
  const record = async () => JSON.parse((await inside('cat', `${POOLS}/${pool}.json`)).stdout)
  for (const round of ['server', 'keeper'] as const) {
    await kill((await record())[round].pid)
    if (round === 'keeper') assertMountedFull(await cli('mount', pool, mountPoint))
    assert.equal((await inside('timeout', '60', 'cat', `${mountPoint}/text`)).stdout, 'kept\n')
  }
  assert.match((await cli('umount', pool)).stdout, /unmounted and parked/)
  assertMountedFull(await cli('mount', pool, mountPoint))
  await makeRoom()
  assert.match((await cli('umount', pool)).stdout, /unmounted and parked/)
  succeeded(await cli('mount', pool, mountPoint))
  assert.equal((await inside('cat', `${mountPoint}/text`)).stdout, 'kept\n')
  assert.equal((await inside('find', POOLS, '-type', 'l')).stdout, '', 'records are in their place again')
})

test('/run takes not even an empty file: the pool is mounted, found and taken over', options, async (t) => {
  const pool = testPoolName(t)
  const mountPoint = testMountPoint(t)
  const { inside, cli } = await smallRun(t, TREE, ',nr_inodes=1')
  beforeUnmount(t, () => cli('umount', '--discard', pool))
  const mounted = async (how: RegExp): Promise<void> => {
    const outcome = await cli('mount', pool, mountPoint)
    assertMountedFull(outcome)
    assert.match(outcome.stdout, how)
  }
  await mounted(/new pool/)
  succeeded(await inside('sh', '-c', `echo kept >${mountPoint}/text`))
  // Pools of tests that run beside this one are found as well.
  const { pools } = printedIn('list', (await cli('list', '--json')).stdout)
  const found = pools.find((each) => each.pool === pool)
  await kill(found?.keeperPid as number)
  await mounted(/a new one took over/)
  assert.equal((await inside('cat', `${mountPoint}/text`)).stdout, 'kept\n')
  assert.match((await cli('umount', pool)).stdout, /unmounted and parked/)
  await mounted(/found again/)
  assert.equal((await inside('cat', `${mountPoint}/text`)).stdout, 'kept\n')
  succeeded(await inside('mount', '-o', 'remount,size=64k,nr_inodes=100', '/run/guestmemfs'))
  assert.match((await cli('umount', '--discard', pool)).stdout, /unmounted and discarded/)
})

for (const [full, how] of [
  ['is full', ''],
  ['takes not even an empty file', ',nr_inodes=1'],
])
  test(
    `/run ${full}: what the former kernel handed over and cannot be used is held on`,
    options,
    async (t) => {
      const pool = testPoolName(t)
      const mountPoint = testMountPoint(t)
      // A kernel without the orchestrator has nothing to hand over: the answer is put in its place.
      const answer = 'hasLiveUpdate() ? await openIncoming(pool, luo) : undefined'
      const tree = otherTree(t, [
        'src/keeper/luo/find-incoming.ts',
        answer,
        "{ sessions: [], why: 'it is harmed' }",
      ])
      const { cli, fill } = await smallRun(t, tree.folder, how)
      await fill()
      const refused = await cli('mount', pool, mountPoint)
      assert.equal(refused.status, 1)
      const keeper = Number(/its memory is held by process (\d+)/.exec(refused.stderr)?.[1])
      t.after(() => process.kill(keeper, 'SIGKILL'))
      await sleep(1000)
      assert.notEqual(processStartTime(keeper), undefined, 'its end would free the memory')
    },
  )

test('/run is full under a unit: another keeper takes over, and a mount comes up', {
  ...options,
  skip: cannotMount || cannotRunSystemd,
}, async (t) => {
  const { folder, run, good, until: soon, show } = await startUnitHost(t)
  t.after(() => readdirSync(SPARE).map((name) => rmSync(join(SPARE, name))))
  const [pool, mnt] = ['full-kept', join(folder, 'mnt')]
  mkdirSync(mnt)
  run('sh', '-ec', 'mkdir -p /run/guestmemfs; mount -t tmpfs -o size=64k tmpfs /run/guestmemfs')
  good('mount', pool, mnt, '-o', 'size=64M')
  assert.equal(run('sh', '-ec', `echo kept >${mnt}/text`).status, 0)
  run('sh', '-c', 'cat /dev/zero >/run/guestmemfs/full')
  const mainPid = (): number => Number(show(pool, 'MainPID'))
  for (let round = 0; round < 2; round++) {
    const keeper = mainPid()
    run('kill', '-9', String(keeper))
    await soon('another keeper, which the unit follows', () => ![0, keeper].includes(mainPid()))
    await soon('the unit is up', () => show(pool, 'ActiveState') === 'active')
    assert.equal(run('cat', join(mnt, 'text')).output, 'kept\n')
  }
  const other = join(folder, 'other')
  mkdirSync(other)
  const mount = `'${process.execPath}' '${CLI}' mount full-other ${other} -o size=64M 2>&1`
  assert.match(run('sh', '-c', mount).output, /is full: full-other is mounted all the same/)
  assert.equal(run('sh', '-ec', `echo new >${other}/text`).status, 0)
  await soon('the unit follows its keeper', () => show('full-other', 'ActiveState') === 'active')
  const keeper = Number(show('full-other', 'MainPID'))
  run('kill', '-9', String(keeper))
  await soon('another keeper', () => ![0, keeper].includes(Number(show('full-other', 'MainPID'))))
  assert.equal(run('cat', join(other, 'text')).output, 'new\n')
  for (const each of [pool, 'full-other'])
    assert.match(good('umount', '--discard', each), /unmounted and discarded/)
  const left = readdirSync(SPARE).filter((name) => !name.endsWith('.pid'))
  assert.deepEqual(left, [], 'what a pool had in /dev goes with it')
})
