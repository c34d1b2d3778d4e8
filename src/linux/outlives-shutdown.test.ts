/** Tests of which processes a shutdown spares. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outlivesShutdown, unitAtRoot } from './outlives-shutdown.ts'

test('only a service in no slice but the root is not stopped with one', () => {
  assert.equal(unitAtRoot('0::/guestmemfs@p.service\n'), 'guestmemfs@p.service')
  assert.equal(unitAtRoot('1:name=systemd:/\n0::/guestmemfs@p.service\n'), 'guestmemfs@p.service')
  for (const other of [
    '0::/system.slice/system-guestmemfs.slice/guestmemfs@p.service',
    '0::/user.slice/user-0.slice/session-1.scope',
    '0::/init.scope',
    '0::/',
    '4:memory:/guestmemfs@p.service',
    '',
  ])
    assert.equal(unitAtRoot(`${other}\n`), undefined, other)
})

test('a process that is no such unit, or none at all, is not spared', () => {
  assert.equal(outlivesShutdown(process.pid), false)
  assert.equal(outlivesShutdown(2 ** 22 + 1), false)
})
