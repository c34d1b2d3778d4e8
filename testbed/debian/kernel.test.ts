/** Tests of how a kernel is named and its files are found. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../../src/values/errors.ts'
import { chooseOffer } from './kernel.ts'
import { isFileOf } from './unpack.ts'

const offer = (version: string, suite: string) => ({ name: 'linux-image-cloud-amd64', version, suite })
const OFFERS = [
  offer('7.3.4-1~bpo13+1', 'trixie-backports'),
  offer('6.12.107-1', 'trixie'),
  offer('6.12.95-1~bpo12+1', 'bookworm-backports'),
]

test('a kernel is named by its version, in part or whole, or by its suite', () => {
  const chosen = (spec: string): string => chooseOffer(OFFERS, spec).version
  assert.equal(chosen('7.3'), '7.3.4-1~bpo13+1')
  assert.equal(chosen('6.12'), '6.12.107-1')
  assert.equal(chosen('6.12.95'), '6.12.95-1~bpo12+1')
  assert.equal(chosen('6.12.95-1~bpo12+1'), '6.12.95-1~bpo12+1')
  assert.equal(chosen('bookworm-backports'), '6.12.95-1~bpo12+1')
})

test('a version is never a prefix of another number, and what there is is named', () => {
  for (const spec of ['6.1', '7', '6.12.9', 'sid', ''])
    assert.throws(
      () => chooseOffer(OFFERS.slice(1), spec),
      (error) => error instanceof UsageError && error.message.includes('6.12.107-1 (trixie)'),
    )
})

test('a downloaded file belongs to one package and version, epochs and similar names included', () => {
  const wanted = { name: 'qemu-system-x86', version: '1:10.0.13+ds-0+deb13u1' }
  assert.ok(isFileOf('qemu-system-x86_1%3a10.0.13+ds-0+deb13u1_amd64.deb', wanted))
  assert.ok(!isFileOf('qemu-system-x86-xen_1%3a10.0.13+ds-0+deb13u1_amd64.deb', wanted))
  assert.ok(!isFileOf('qemu-system-x86_1%3a10.0.13+ds-0_amd64.deb', wanted))
})
