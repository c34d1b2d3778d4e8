import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QemuRefusal } from '../../values/errors.ts'
import { type GoesOn, goesOnFrom, goOn, NeedsAnotherQemuError, wakeGuest } from './goes-on.ts'

/** A QEMU in state `status`, which was suspended before its stop or not, and the commands that it got. */
function qemuIn(status: string, wasSuspended = false) {
  const commands: string[] = []
  const now = { status }
  return {
    commands,
    now,
    execute: async (command: string) => {
      if (command === 'query-status') return { status: now.status, running: now.status === 'running' }
      commands.push(command)
      if (command === 'cont') now.status = wasSuspended ? 'suspended' : 'running'
      if (command === 'system_wakeup') now.status = 'running'
      return {}
    },
  }
}

async function after(qemu: ReturnType<typeof qemuIn>, goesOn: GoesOn): Promise<[string, ...string[]]> {
  await goOn(qemu, goesOn, { status: qemu.now.status, running: qemu.now.status === 'running' })
  return [qemu.now.status, ...qemu.commands]
}

test('a guest goes on as it was before it was stopped', async () => {
  const ran = { wasRunning: true, wakes: false, wasSuspended: false }
  assert.deepEqual(await after(qemuIn('postmigrate'), ran), ['running', 'cont'])
  assert.deepEqual(await after(qemuIn('running'), ran), ['running'])
  const wasSuspended = { ...ran, wasSuspended: true }
  assert.deepEqual(await after(qemuIn('paused', true), wasSuspended), ['suspended', 'cont'])
  assert.deepEqual(await after(qemuIn('suspended', true), wasSuspended), ['suspended'])
  assert.deepEqual(await after(qemuIn('paused'), { ...ran, wasRunning: false }), ['paused'])
})

test('one that was suspended for the update is woken, wherever it was left, and once', async () => {
  const woken = { wasRunning: true, wakes: true, wasSuspended: true }
  assert.deepEqual(await after(qemuIn('paused', true), woken), ['running', 'cont', 'system_wakeup'])
  assert.deepEqual(await after(qemuIn('suspended', true), woken), ['running', 'system_wakeup'])
  assert.deepEqual(await after(qemuIn('running'), woken), ['running'])
  const awake = { ...woken, wasSuspended: false }
  assert.deepEqual(await after(qemuIn('postmigrate'), awake), ['running', 'cont'], 'it woke before its save')
})

test('the QEMU that has saved a suspended guest is never told to continue it: it would abort', async () => {
  for (const wakes of [false, true]) {
    const qemu = qemuIn('postmigrate', true)
    await assert.rejects(after(qemu, { wasRunning: true, wakes, wasSuspended: true }), NeedsAnotherQemuError)
    assert.deepEqual(qemu.commands, [])
  }
})

test('one that wakes by itself right before it would be woken is no failure, and one that stays suspended is', async () => {
  for (const [then, isFailure] of [
    ['running', false],
    ['suspended', true],
  ] as const) {
    const states = ['suspended', then]
    const qemu = {
      execute: async (command: string) => {
        if (command === 'query-status') return { status: states.shift(), running: states.length === 0 }
        throw new QemuRefusal('system_wakeup: Unable to wake up')
      },
    }
    const woken = wakeGuest(qemu)
    await (isFailure ? assert.rejects(woken, /Unable to wake up/) : woken)
    assert.deepEqual(states, [])
  }
})

test('a guest that is suspended by itself is continued, not woken, and one that is paused is neither', () => {
  const suspended = { status: 'suspended', running: false }
  const asleep = { askedAtMs: 1, sinceMs: 2 }
  assert.deepEqual(goesOnFrom(suspended, undefined), { wasRunning: true, wakes: false, wasSuspended: true })
  assert.deepEqual(goesOnFrom(suspended, asleep), { wasRunning: true, wakes: true, wasSuspended: true })
  const [paused, running] = ['paused', 'running'].map((status) => ({ status, running: status === 'running' }))
  assert.deepEqual(goesOnFrom(paused!, undefined), { wasRunning: false, wakes: false, wasSuspended: false })
  assert.deepEqual(goesOnFrom(running!, undefined), { wasRunning: true, wakes: false, wasSuspended: false })
  // It woke by itself, or its operator paused it, after its agent had suspended it.
  assert.deepEqual(goesOnFrom(running!, asleep), { wasRunning: true, wakes: true, wasSuspended: false })
  assert.deepEqual(goesOnFrom(paused!, asleep), { wasRunning: true, wakes: true, wasSuspended: true })
})
