/**
 * Two installed versions under a running guest: each process stays in its version, the pool can move to the
 * other one and back until its format is upgraded, and the guest notices nothing.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { lacksOf } from '../../src/host/versions/version-folder.ts'
import { processStartTime } from '../../src/linux/process.ts'
import { formerWords } from '../mount/former-words.ts'
import { executableOf, formerTree, Installation, makePackage } from '../mount/installation.ts'
import { cannotRunOlder, mountOlderPool, type OlderPool } from '../mount/older.ts'
import {
  assertClean,
  guestmemfs,
  kill,
  type Outcome,
  testMountPoint,
  testPool,
  testPoolName,
  until,
} from '../mount/support.ts'
import { scratchFolder, startTinyVm, type TestVm, updateVmm, type VmPool, withEndings } from './support.ts'

const options = { timeout: 300_000 }

function assertDone({ stderr, status }: Outcome): void {
  assert.deepEqual([stderr, status], ['', 0])
}

async function goesOn(vm: TestVm): Promise<void> {
  await vm.serial.moreTicks(3)
  assert.equal(vm.serial.findBreak(), undefined)
}

test('an upgrade and a downgrade of what is installed, under a guest', options, async (t) => {
  const folder = scratchFolder(t)
  const installation = new Installation(folder)
  const former = formerTree(t)
  const A = await installation.install(process.execPath, join(former.folder, 'src/cli.ts'))
  const pool: VmPool = await withEndings(t, async () => {
    const [name, mountPoint] = [testPoolName(t), testMountPoint(t)]
    assertDone(await installation.run('mount', name, mountPoint, '-o', 'size=256M'))
    return testPool(name, mountPoint)
  })
  const vm = await startTinyVm(t, pool, 'versions', { command: [join(A, 'guestmemfs')] })
  const runsIn = (version: string) => {
    for (const pid of [pool.keeperPid(), pool.serverPid()])
      assert.equal(executableOf(pid), join(version, 'bin/node'))
  }
  const newServer = async (): Promise<void> => {
    const before = pool.serverPid()
    await kill(before)
    fs.writeFileSync(pool.path('written'), String(before))
    await until('another server', () => pool.serverPid() !== before)
  }
  const takeOver = async (): Promise<Outcome> => {
    await kill(pool.keeperPid())
    return await installation.run('mount', pool.pool, pool.mountPoint)
  }
  runsIn(A)

  const cli = await makePackage(join(folder, 'package'))
  const B = await installation.install(process.execPath, cli)
  assert.notEqual(A, B)

  await t.test('the keeper of the former one starts servers of its own', async () => {
    await newServer()
    runsIn(A)
    await goesOn(vm)
    assert.equal(lacksOf(A), undefined)
  })

  await t.test('the pool is taken over by what is current; and back, as often as it is wanted', async () => {
    assertDone(await takeOver())
    runsIn(B)
    await goesOn(vm)
    const { status, stderr } = await updateVmm(pool)
    assert.equal(status, 0, stderr)
    for (const version of [A, B, A, B]) {
      assert.equal(await installation.install(join(version, 'guestmemfs')), version)
      assertDone(await takeOver())
      runsIn(version)
      await newServer()
      runsIn(version)
      await goesOn(vm)
    }
  })

  await t.test('an installation that is killed changes nothing for it', async () => {
    for (const delayMs of [100, 250, 500, 900]) {
      fs.appendFileSync(join(former.folder, 'src/cli.ts'), '\n')
      const words = [join(former.folder, 'src/cli.ts'), 'install', '--yes', '--prefix', installation.prefix]
      const child = spawn(process.execPath, words, { stdio: 'ignore' })
      const ended = once(child, 'exit')
      await sleep(delayMs)
      child.kill('SIGKILL')
      await ended
      await newServer()
      runsIn(B)
      assert.equal((await installation.run('--version')).status, 0)
      await goesOn(vm)
    }
    await installation.install(join(B, 'guestmemfs'))
  })

  await t.test('once its format is upgraded, the former one refuses it in one line', async () => {
    const { stdout } = await installation.run('upgrade', pool.pool)
    assert.equal(stdout, `${pool.pool} on ${pool.mountPoint}: image format 1 → 2\n`)
    await newServer()
    await goesOn(vm)
    assert.equal(await installation.install(join(A, 'guestmemfs')), A)
    const server = pool.serverPid()
    const refused = await takeOver()
    assert.equal(refused.status, 1)
    assert.match(refused.stderr, /^guestmemfs: pool '\S+': [^\n]*format version 2[^\n]*\n$/)
    assert.notEqual(processStartTime(server), undefined)
    await goesOn(vm)
    assert.equal(await installation.install(join(B, 'guestmemfs')), B)
    assertDone(await installation.run('mount', pool.pool, pool.mountPoint))
    runsIn(B)
    await newServer()
    await goesOn(vm)
    await assertClean(pool.pool)
  })

  await t.test('its watcher keeps the former one there', async () => {
    for (const mark of ['C', 'D']) {
      const entry = fs.readFileSync(cli, 'utf8')
      fs.writeFileSync(cli, `${entry}//${mark}\n`)
      await installation.install(process.execPath, cli)
    }
    assert.equal(lacksOf(A), undefined)
    assert.equal(lacksOf(B), undefined)
    await goesOn(vm)
    const { status, stderr } = await updateVmm(pool)
    assert.equal(status, 0, stderr)
    await goesOn(vm)
  })
})

test('a pool and a guest of the oldest tree: taken over, upgraded, updated', {
  ...options,
  skip: cannotRunOlder,
}, async (t) => {
  const mounted = Promise.withResolvers<OlderPool>()
  const pool = await withEndings(t, async () => {
    mounted.resolve(await mountOlderPool(t, '256M'))
    return (await mounted.promise).pool
  })
  const { older } = await mounted.promise
  const vm = await startTinyVm(t, pool, 'oldest', {
    command: [process.execPath, older.cli],
    spell: formerWords,
  })
  await kill(pool.keeperPid())
  assertDone(await guestmemfs('mount', pool.pool, pool.mountPoint))
  await goesOn(vm)
  assertDone(await guestmemfs('upgrade', pool.pool))
  await goesOn(vm)
  await kill(pool.keeperPid())
  const refused = await older.run('mount', pool.pool, pool.mountPoint)
  assert.equal(refused.status, 1)
  await goesOn(vm)
  assertDone(await guestmemfs('mount', pool.pool, pool.mountPoint))
  const { status, stderr } = await updateVmm(pool)
  assert.equal(status, 0, stderr)
  await goesOn(vm)
  await assertClean(pool.pool)
})
