import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { DeferredSignals } from './deferred-signals.ts'

test('a signal is kept until the update checks for it', async () => {
  const signals = new DeferredSignals()
  signals.check()
  process.kill(process.pid, 'SIGTERM')
  for (let turn = 0; turn < 1000 && process.listenerCount('SIGTERM') > 0; turn++) {
    await setImmediate()
    try {
      signals.check()
    } catch (error) {
      assert.match(String(error), /stopped by SIGTERM/)
      signals.end()
    }
  }
  assert.deepEqual(
    ['SIGINT', 'SIGTERM', 'SIGHUP'].map((signal) => process.listenerCount(signal)),
    [0, 0, 0],
  )
})
