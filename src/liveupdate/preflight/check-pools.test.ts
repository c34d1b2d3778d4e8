import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkPools, checkUnmanagedGuests } from './check-pools.ts'
import { checkShutdown } from './check-shutdown.ts'
import { type PoolFacts, survivesBy } from './pool-facts.ts'
import { linesOf, POOL, vmOf } from './testing/facts.ts'

test('every guest must be in memory that outlives the kernel', () => {
  const say = (change: Partial<PoolFacts>) => linesOf(checkPools([{ ...POOL, ...change }], []))
  assert.deepEqual(say({}), [])
  assert.match(
    say({ store: 'memfd', by: undefined }).join(),
    /^error: pool 'p' \(store=memfd\) .* VM a, b with it: .*store=dax/,
  )
  assert.match(
    say({ store: 'memfd', by: undefined, vms: [] }).join(),
    /^warn: pool 'p' .* and its files with it$/,
  )
  assert.deepEqual(say({ store: 'memfd', by: undefined, vms: [], holdsFiles: false }), [])
  assert.deepEqual(say({ store: 'memfd', by: 'luo' }), [])
  assert.deepEqual(
    (['dax', 'devmem', 'memfd'] as const).map((store) => [survivesBy(store, true), survivesBy(store, false)]),
    [
      ['carve-out', 'carve-out'],
      ['carve-out', 'carve-out'],
      ['luo', undefined],
    ],
  )
  assert.match(say({ imageErrors: ['bad'] }).join(), /^error: the image of pool 'p' is not sound: bad/)
  assert.match(say({ isChosen: false }).join(), /^error: VM a of pool 'p' would end .* leave out --mount/)
  // A carve-out keeps its memory all the same, and the guests saved in it.
  assert.equal(say({ isChosen: false, vms: [vmOf('s', 'saved')] }).join(), '')
  assert.match(
    say({ isChosen: false, by: 'luo', vms: [vmOf('s', 'saved')] }).join(),
    /^error: VM s of pool 'p', which is saved, would end .* leave out --mount/,
  )
  assert.match(
    say({ isChosen: false, by: 'luo', vms: [] }).join(),
    /^error: the files of pool 'p' would end with this kernel: leave out --mount/,
  )
  assert.match(say({ problems: ['no VM of ours'] }).join(), /^error: no VM of ours$/)
  assert.match(linesOf(checkPools([], ['q'])).join(), /^warn: pool 'q' is parked/)
})

test('memory that a process holds must survive the shutdown by systemd', () => {
  const say = (via: 'kexec' | 'systemctl', change: Partial<PoolFacts>) =>
    linesOf(checkShutdown(via, [{ ...POOL, ...change }])).join()
  assert.match(say('systemctl', { by: 'luo' }), /^error: pool 'p' would be killed by systemd/)
  assert.equal(say('systemctl', { by: 'luo', outlivesShutdown: true }), '')
  assert.equal(say('kexec', { by: 'luo' }), '')
  assert.equal(say('systemctl', { by: 'carve-out' }), '')
})

test('a guest that no pool has a record of is mentioned', () => {
  const running = { ...vmOf('a', 'running'), qemu: { pid: 7, startTime: '1' } }
  const guests = [7, 8].map((pid) => ({ pid, program: 'qemu' }))
  const said = linesOf(checkUnmanagedGuests([{ ...POOL, vms: [running] }], guests))
  assert.match(said.join(), /^warn: process 8 \(qemu\) runs a guest/)
})
