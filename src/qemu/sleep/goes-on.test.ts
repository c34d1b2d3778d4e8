import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QemuRefusal } from '../../values/errors.ts'
import { type GoesOn, goesOnFrom, goOn, wakeGuest } from './goes-on.ts'

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
  const ran = { wasRunning: true, wakes: false }
  assert.deepEqual(await after(qemuIn('postmigrate'), ran), ['running', 'cont'])
  assert.deepEqual(await after(qemuIn('running'), ran), ['running'])
  assert.deepEqual(await after(qemuIn('postmigrate', true), ran), ['suspended', 'cont'])
  assert.deepEqual(await after(qemuIn('suspended', true), ran), ['suspended'])
  assert.deepEqual(await after(qemuIn('paused'), { wasRunning: false, wakes: false }), ['paused'])
})

test('one that was suspended for the update is woken, wherever it was left, and once', async () => {
  const woken = { wasRunning: true, wakes: true }
  assert.deepEqual(await after(qemuIn('postmigrate', true), woken), ['running', 'cont', 'system_wakeup'])
  assert.deepEqual(await after(qemuIn('suspended', true), woken), ['running', 'system_wakeup'])
  assert.deepEqual(await after(qemuIn('running'), woken), ['running'])
  assert.deepEqual(await after(qemuIn('postmigrate'), woken), ['running', 'cont'], 'it woke before its save')
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
  assert.deepEqual(goesOnFrom(suspended, undefined), { wasRunning: true, wakes: false })
  assert.deepEqual(goesOnFrom(suspended, asleep), { wasRunning: true, wakes: true })
  const [paused, running] = ['paused', 'running'].map((status) => ({ status, running: status === 'running' }))
  assert.deepEqual(goesOnFrom(paused!, undefined), { wasRunning: false, wakes: false })
  assert.deepEqual(goesOnFrom(running!, undefined), { wasRunning: true, wakes: false })
  // It woke by itself, or its operator paused it, after its agent had suspended it.
  assert.deepEqual(goesOnFrom(running!, asleep), { wasRunning: true, wakes: true })
  assert.deepEqual(goesOnFrom(paused!, asleep), { wasRunning: true, wakes: true })
})
