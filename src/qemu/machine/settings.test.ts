/** Tests of reading settings that a command line may not have: forwarded ports and limits of disks. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forwardsOf, limitOf } from './settings.ts'

const USERNET = `Hub -1 (net0):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[ESTABLISHED]   14       10.0.2.15 45678      192.0.2.1     80     0     0
  TCP[HOST_FORWARD]  12       127.0.0.1  2299       10.0.2.15    22     0     0
  UDP[HOST_FORWARD]  13               *    53       10.0.2.15    53     0     0\r
Hub -1 (net1):
  TCP[HOST_FORWARD]  15       127.0.0.1  2300       10.0.2.16    22     0     0
`

test('forwards by their netdev, as hostfwd_add takes them; connections are none', () => {
  assert.deepEqual(forwardsOf(USERNET), [
    { netdev: 'net0', rule: 'tcp:127.0.0.1:2299-10.0.2.15:22' },
    { netdev: 'net0', rule: 'udp::53-10.0.2.15:53' },
    { netdev: 'net1', rule: 'tcp:127.0.0.1:2300-10.0.2.16:22' },
  ])
  assert.deepEqual(forwardsOf('unknown command'), [])
})

test('a limit with all that the command needs, bursts and group', () => {
  assert.equal(limitOf('vd0', { bps: 0, iops: 0 }), undefined)
  assert.deepEqual(limitOf('vd0', { bps: 5, bps_max: 9, bps_max_length: 2, group: 'g', ro: false })?.values, {
    ...{ bps: 5, bps_rd: 0, bps_wr: 0, iops: 0, iops_rd: 0, iops_wr: 0 },
    ...{ bps_max: 9, bps_max_length: 2, group: 'g' },
  })
})
