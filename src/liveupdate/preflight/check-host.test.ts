import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkHost } from './check-host.ts'
import type { HostFacts } from './host-facts.ts'
import { HOST, linesOf } from './testing/facts.ts'

const WANTED = { via: 'kexec', loadBytes: 20 * 2 ** 20, hasInitrd: false } as const

test('a machine that can kexec has no finding, and each thing that prevents it has one', () => {
  assert.deepEqual(checkHost(HOST, WANTED), [])
  const say = (facts: Partial<HostFacts>, wanted = {}) =>
    linesOf(checkHost({ ...HOST, ...facts }, { ...WANTED, ...wanted })).join()
  const kexec = (change: object) => say({ kexec: { ...HOST.kexec, ...change } })
  assert.match(say({ isPrivileged: false }), /^error: a kexec needs root/)
  assert.match(kexec({ exists: false }), /^error: this kernel has no kexec/)
  assert.match(kexec({ isDisabled: true }), /^error: .*kexec_load_disabled/)
  assert.match(kexec({ lockdown: 'integrity' }), /^warn: this kernel is locked down \(integrity\)/)
  assert.match(kexec({ isLoaded: true }), /^warn: a kernel is loaded/)
  assert.match(say({}, { via: 'systemctl' }), /^error: --via systemctl needs systemd/)
  assert.equal(say({ hasSystemd: true }, { via: 'systemctl' }), '')
  assert.match(
    say({ availableBytes: 2 ** 26 }),
    /^error: loading the next kernel takes 104M of memory, 64M are free/,
  )
  assert.match(say({ hadInitrd: true }), /^warn: no --initrd is given/)
})
