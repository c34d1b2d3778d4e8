/**
 * Tests of signals to an update of the kernel at each step before its jump: the update undoes all of it,
 * every guest runs on in the QEMU it had, and the exit status is that of the signal. No test here loads a
 * kernel or jumps.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { getxattr } from '../../src/linux/xattr.ts'
import type { RolledBack } from '../../src/liveupdate/kernel/kernel-update.ts'
import { readUpdateRecord } from '../../src/liveupdate/kernel/update-record.ts'
import { startPrivateRamVm } from './private-ram-vm.ts'
import { secondMonitor, slowSaves } from './slow-saves.ts'
import {
  listVms,
  mountVmPool,
  qemuPid,
  resumeVms,
  scratchFolder,
  startTinyVm,
  type TestVm,
  type VmPool,
} from './support.ts'

const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const
/** Private RAM of 64 MiB is written for two seconds. */
const SLOW_BYTES = 32 << 20

const isFrozen = (pool: VmPool): boolean =>
  Buffer.from(getxattr(pool.mountPoint, 'trusted.guestmemfs.frozen') as Uint8Array).toString() === '1'

interface Step {
  readonly name: string
  /** By each signal; left out: by one of them. */
  readonly byAll?: true
  /** Seen from outside; undefined: the signal comes in the middle of the load. */
  readonly isReached?: (pool: VmPool, said: () => string, slow: TestVm) => boolean
}

const STEPS: readonly Step[] = [
  { name: 'the load of the kernel', byAll: true },
  { name: 'the look at the clock', isReached: (_pool, said) => said().includes('is loaded') },
  { name: 'the record', isReached: ({ mountPoint }) => readUpdateRecord(mountPoint) !== undefined },
  {
    name: 'the saves',
    byAll: true,
    isReached: (pool, _said, { name }) => existsSync(pool.path(`${name}.vmstate`)),
  },
  { name: 'the freeze', isReached: isFrozen },
]

interface Ground {
  readonly pool: VmPool
  readonly guests: readonly [TestVm, TestVm]
  readonly before: readonly number[]
}

async function ground(t: TestContext): Promise<Ground> {
  const pool = await mountVmPool(t, '384M')
  const folder = scratchFolder(t)
  const guests = [
    await startTinyVm(t, pool, 'quick'),
    await startPrivateRamVm(t, pool, 'slow', secondMonitor(folder)),
  ] as const
  await slowSaves(t, folder, SLOW_BYTES)
  return { pool, guests, before: guests.map(({ name }) => qemuPid(name)) }
}

function startUpdate(pool: VmPool, signal = '-') {
  const program = join(import.meta.dirname, 'update-without-kexec.ts')
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', program, pool.mountPoint, signal],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk
  })
  return { child, said: () => said, errors: text(child.stderr), ended: once(child, 'close') }
}

async function reach(child: ChildProcess, isReached: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!isReached()) {
    assert.equal(child.exitCode, null, 'it has ended before')
    assert.ok(performance.now() < deadline)
    await sleep(1)
  }
}

async function isUndone({ pool, guests, before }: Ground, step: string): Promise<void> {
  assert.equal(isFrozen(pool), false)
  assert.equal(readUpdateRecord(pool.mountPoint), undefined)
  assert.deepEqual(readdirSync(pool.mountPoint).sort(), ['quick', 'slow'], step)
  assert.deepEqual(
    guests.map(({ name }) => qemuPid(name)),
    before,
  )
  assert.deepEqual(
    (await listVms(pool)).map(({ state }) => state),
    ['running', 'running'],
  )
  for (const { serial } of guests) {
    await serial.moreTicks(2)
    assert.equal(serial.findBreak(), undefined)
  }
}

test('SIGHUP, SIGINT, SIGTERM at each step of a kernel update before its jump', async (t) => {
  const on = await ground(t)
  const { pool, guests } = on
  for (const [index, { name: step, isReached, byAll }] of STEPS.entries())
    for (const signal of byAll ? SIGNALS : [SIGNALS[index % SIGNALS.length] as (typeof SIGNALS)[number]]) {
      const { child, said, errors, ended } = startUpdate(pool, isReached === undefined ? signal : '-')
      if (isReached !== undefined) {
        await reach(child, () => isReached(pool, said, guests[1]))
        child.kill(signal)
      }
      assert.deepEqual(await ended, [0, null], `${step}, ${signal}: ${await errors}`)
      const lines = said().trimEnd().split('\n')
      assert.deepEqual(lines.slice(0, 2), ['load', 'kernel 7.3 is loaded'])
      assert.ok(lines.includes('unload'), `${step}, ${signal}`)
      const result = JSON.parse(lines.at(-1) as string) as RolledBack
      assert.equal(result.signalStatus, 128 + constants.signals[signal], `${step}, ${signal}`)
      for (const { outcome, problem } of result.vms)
        assert.deepEqual([outcome, problem], ['rolled-back', null], `${step}, ${signal}`)
      await isUndone(on, step)
    }
})

test('SIGKILL at each step of a kernel update before its jump: resume undoes the rest of it', async (t) => {
  const on = await ground(t)
  const { pool, guests } = on
  for (const { name: step, isReached } of STEPS) {
    if (isReached === undefined) continue
    const { child, said, ended } = startUpdate(pool)
    await reach(child, () => isReached(pool, said, guests[1]))
    child.kill('SIGKILL')
    await ended
    const { status, stderr } = await resumeVms(pool)
    assert.equal(status, 0, `${step}: ${stderr}`)
    await isUndone(on, step)
  }
})
