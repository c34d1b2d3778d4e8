import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { VmDefinition } from '../qemu/vm-definition.ts'
import { hostLacks, isLacking } from './lacks.ts'

const guest = (more: Partial<VmDefinition>): VmDefinition =>
  ({ name: 'a', argv: ['/bin/qemu'], ...more }) as VmDefinition
const GONE = '/nowhere/is/mounted'

test('a mount that is not there comes soon, unless fstab mounts it late', () => {
  const one = guest({ hostFiles: { mounts: ['/proc', GONE], devices: [] } })
  assert.deepEqual(hostLacks(one), { soon: [`${GONE} is not mounted`], late: [] })
  assert.deepEqual(hostLacks(one, new Set([GONE])), { soon: [], late: [`${GONE} is not mounted`] })
})

test('a device comes soon; a tap, which the network brings, late', () => {
  const lacking = hostLacks(
    guest({
      hostFiles: { mounts: [], devices: [{ path: '/dev/nothing/of/this/name', sectors: null }] },
      taps: [{ ifname: 'no-such-tap', master: 'br0' }],
    }),
  )
  assert.deepEqual(lacking.soon, ['/dev/nothing/of/this/name is not there, or not set up as it was'])
  assert.equal(lacking.late.length, 1)
  assert.match(lacking.late[0] ?? '', /^its tap no-such-tap is not there/)
})

test('a guest with all that it had lacks nothing, and so does one of which nothing is on record', () => {
  assert.equal(isLacking(hostLacks(guest({ hostFiles: { mounts: ['/proc'], devices: [] } }))), false)
  assert.equal(isLacking(hostLacks(guest({}))), false)
})
