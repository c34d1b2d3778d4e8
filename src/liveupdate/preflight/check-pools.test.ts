import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkPlugged, checkPools, checkUnmanagedGuests } from './check-pools.ts'
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
  assert.match(say({ isChosen: false }).join(), /^error: VM a of pool 'p' would end .* name no pool/)
  // A carve-out keeps its memory, and the guests saved in it, whether it was chosen or not.
  assert.equal(say({ isChosen: false, vms: [vmOf('s', 'saved')] }).join(), '')
  assert.match(
    say({ isChosen: false, by: 'luo', vms: [vmOf('s', 'saved')] }).join(),
    /^error: VM s of pool 'p', which is saved, would end .* name no pool/,
  )
  assert.match(
    say({ isChosen: false, by: 'luo', vms: [] }).join(),
    /^error: the files of pool 'p' would end with this kernel: name no pool/,
  )
  assert.match(say({ problems: ['no VM of ours'] }).join(), /^error: no VM of ours$/)
  assert.match(linesOf(checkPools([], ['q'])).join(), /^warn: pool 'q' is parked/)
})

test('a guest with RAM in two pools needs both in the update', () => {
  const [here, there] = ['/mnt/p/a', '/mnt/q/a']
  const both = {
    ...vmOf('a', 'running'),
    definition: { name: 'a', ramFiles: [{ path: here }, { path: there }] },
  }
  const vms = [both] as unknown as PoolFacts['vms']
  const [first, second] = [
    { ...POOL, vms },
    { ...POOL, vms, pool: 'q', mountPoint: '/mnt/q' },
  ]
  const say = (...pools: PoolFacts[]) => linesOf(checkPools(pools, [])).join('\n')
  assert.equal(say(first, second), '')
  assert.match(
    say(first),
    /^error: VM a has RAM in \/mnt\/q\/a, and the pool of that is not mounted: mount it first$/,
  )
  assert.match(
    say(first, { ...second, isChosen: false }),
    /^error: VM a of pool 'q' would end with this kernel/,
  )
  assert.match(
    say(first, { ...second, store: 'memfd', by: undefined }),
    /^error: pool 'q' .* and VM a with it/,
  )

  // Plugged while it ran: the record does not name it yet.
  const line = {
    argv: [],
    plugged: [],
    facts: [],
    unproven: [],
    sleeps: false,
    isSavedSuspended: false,
    ramFiles: [here, there].map((path) => ({ id: path, path, sizeBytes: 1 })),
  }
  const plugged = (...pools: PoolFacts[]) => linesOf(checkPlugged(pools, new Map([['a', line]]))).join('\n')
  assert.equal(plugged(first, second), '')
  assert.match(plugged(first), /^error: VM a has RAM in \/mnt\/q\/a, and the pool of that is not mounted$/)
  assert.match(
    plugged(first, { ...second, isChosen: false }),
    /pool 'q' is left out: name no pool to include it$/,
  )
  assert.match(plugged(first, { ...second, by: undefined }), /pool 'q' \(store=dax\) ends with this kernel$/)
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
