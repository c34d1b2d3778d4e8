/**
 * The takeover of a pool in a region from a server whose keeper has died, or from a keeper whose files were
 * replaced: what refuses it has changed nothing, and the server serves on; no other process gets the region
 * meanwhile. And the end of a keeper in the middle of any takeover.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { mountTable } from '../../src/linux/mounts.ts'
import { isStopped, processStartTime } from '../../src/linux/process.ts'
import { REGIONS } from '../../src/run/paths.ts'
import { readPoolRecord, writePoolRecord } from '../../src/run/pool-record.ts'
import { otherTree } from './other-tree.ts'
import { assertRefused, CHECKSUM_AT, cannotMountRegion, mountRegion, use } from './region-pool.ts'
import { kill, poolRecord, runProgram, testMountPoint, testPool, testPoolName, until } from './support.ts'

const options = { skip: cannotMountRegion, timeout: 120_000 }

test('an image that cannot be read refuses the takeover, and its server serves on', options, async (t) => {
  const { tree, folder, flip, ...pool } = await mountRegion(t)
  const goesOn = await use(t, pool)
  const server = pool.serverPid()
  await kill(pool.keeperPid())
  await goesOn()
  const format = () => tree.run('format', 'other', '--store', 'devmem', '--region', folder, '--force')
  assertRefused(await format(), /is in use by another pool/)
  flip()
  const mount = () => tree.run('mount', pool.pool, pool.mountPoint)
  assertRefused(await mount(), /the header of the image fails its checksum/)
  assert.notEqual(processStartTime(server), undefined)
  await goesOn()
  assertRefused(await format(), /is in use by another pool/)
  flip()
  // Pages that are cut off are SIGBUS to who loads from them, as lost ones are.
  const image = join(folder, 'image')
  const whole = fs.readFileSync(image)
  fs.truncateSync(image, CHECKSUM_AT + 4)
  const lost = await mount()
  fs.writeFileSync(image, whole, { flag: 'r+' })
  assertRefused(lost, /the machine has lost memory of its image \(SIGBUS\)/)
  assert.notEqual(processStartTime(server), undefined)
  await goesOn()
  const adopted = await mount()
  assert.deepEqual([adopted.stderr, adopted.status], ['', 0])
  assert.match(adopted.stdout, /its keeper had died: a new one took over/)
  assert.equal(processStartTime(server), undefined)
  await goesOn()
  assertRefused(await format(), /is in use by another pool/)
  const [keeper, next] = [pool.keeperPid(), pool.serverPid()]
  await kill(next)
  await goesOn()
  // The next server may answer before the keeper has written its record.
  await until('the record names another server', () => ![0, next].includes(pool.serverPid()))
  assert.equal(pool.keeperPid(), keeper)
})

test('a server of before, which does not have the lock, is taken over as well', options, async (t) => {
  const { tree, ...pool } = await mountRegion(t)
  const goesOn = await use(t, pool)
  // Servers of former trees are not sent it.
  tree.change('src/keeper/server-process.ts', '[packed, ...regionLocks]', '[packed]')
  await kill(pool.keeperPid())
  const without = await tree.run('mount', pool.pool, pool.mountPoint)
  assert.deepEqual([without.stderr, without.status], ['', 0])
  tree.change('src/keeper/server-process.ts', '[packed]', '[packed, ...regionLocks]')
  await kill(pool.keeperPid())
  await goesOn()
  const adopted = await tree.run('mount', pool.pool, pool.mountPoint)
  assert.deepEqual([adopted.stderr, adopted.status], ['', 0])
  await goesOn()
})

test('files replaced under a keeper: another keeper takes over when its server dies', options, async (t) => {
  const { tree, ...pool } = await mountRegion(t)
  const goesOn = await use(t, pool)
  const [keeper, server] = [pool.keeperPid(), pool.serverPid()]
  tree.change('src/server/serve-connection.ts', '/**', '/** Of a later version.\n *')
  await kill(server)
  // No call waits for the pool before: one that no server serves would block this process.
  await until('the former keeper has ended', () => processStartTime(keeper) === undefined, 30_000)
  await until('the record names the next keeper', () => pool.keeperPid() !== keeper)
  await goesOn()
  assert.equal(poolRecord(pool.pool).isGivenOver, undefined)
  await kill(pool.serverPid())
  await goesOn()
})

test('keeper and server both dead: `mount` by name alone finds the region', options, async (t) => {
  const { tree, flip, ...pool } = await mountRegion(t)
  fs.writeFileSync(pool.path('text'), 'kept')
  await kill(pool.keeperPid())
  await kill(pool.serverPid())
  const isMounted = () => mountTable().some(({ target }) => target === pool.mountPoint)
  assertRefused(await tree.run('mount', pool.pool, '/nowhere'), /mount point \/nowhere does not exist/)
  assert.ok(isMounted(), 'a refusal has changed nothing')
  assert.notEqual(readPoolRecord(pool.pool), undefined)
  flip()
  assertRefused(await tree.run('mount', pool.pool, pool.mountPoint), /fails its checksum/)
  flip()
  const found = await tree.run('mount', pool.pool, pool.mountPoint)
  assert.deepEqual([found.stderr, found.status], ['', 0])
  assert.equal(poolRecord(pool.pool).source.kind, 'devmem')
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
})

test('a process that removes the files in /run gets no region that is served', options, async (t) => {
  const { tree, folder, ...pool } = await mountRegion(t)
  const goesOn = await use(t, pool)
  const { dev, ino } = fs.statSync(folder)
  const lock = join(REGIONS, `tmpfs-${dev}-${ino}.lock`)
  const region = ['store=devmem', `region=${folder}`].join()
  const other = testPoolName(t)
  const commands = [
    ['format', other, '--store', 'devmem', '--region', folder, '--force'],
    ['mount', other, testMountPoint(t), '-o', region],
  ]
  const cli = [process.execPath, join(tree.folder, 'src/cli.ts')]
  const ownRun = 'mount -t tmpfs tmpfs /run/guestmemfs; exec "$@"'
  const assertNobodyElse = async (): Promise<void> => {
    for (const words of commands) {
      fs.rmSync(lock, { force: true })
      assertRefused(await tree.run(...words), /is in use by another pool/)
      const inside = ['--mount', 'sh', '-ec', ownRun, 'sh', ...cli, ...words]
      assertRefused(await runProgram('unshare', inside), /is in use by another pool/)
    }
    await goesOn()
  }
  await assertNobodyElse()
  await kill(pool.serverPid())
  await assertNobodyElse()
  await kill(pool.keeperPid())
  await assertNobodyElse()
  const adopted = await tree.run('mount', pool.pool, pool.mountPoint)
  assert.deepEqual([adopted.stderr, adopted.status], ['', 0])
  await assertNobodyElse()

  await t.test('and a mount whose record names dead processes is not taken off', async () => {
    const record = poolRecord(pool.pool)
    const dead = { pid: 1, startTime: 'never' }
    writePoolRecord({ ...record, keeper: dead, server: dead })
    const refused = await tree.run('mount', pool.pool, pool.mountPoint)
    assertRefused(refused, /is in use by another pool/)
    await goesOn()
    writePoolRecord(record)
  })
})

test('a keeper that dies in the middle of a takeover leaves a server that serves', options, async (t) => {
  const tree = otherTree(t)
  const pool = testPool(testPoolName(t), testMountPoint(t))
  const mount = () => tree.run('mount', pool.pool, pool.mountPoint, '-o', 'size=64M')
  assert.equal((await mount()).status, 0)
  const goesOn = await use(t, pool)
  await kill(pool.keeperPid())
  const dies = "suspendHolder(holder); process.kill(process.pid, 'SIGKILL')"
  tree.change('src/keeper/open-pool.ts', '  suspendHolder(holder)\n', `  ${dies}\n`)
  const server = pool.serverPid()
  assertRefused(await mount(), /did not get ready/)
  // Before this process touches the mount: it would wait without an end for a server that is stopped.
  assert.ok(!isStopped(server))
  await goesOn()
  tree.change('src/keeper/open-pool.ts', dies, 'suspendHolder(holder)')
  assert.equal((await mount()).status, 0)
  await goesOn()
})
