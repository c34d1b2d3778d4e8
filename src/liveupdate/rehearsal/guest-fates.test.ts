/** Tests of what an update of the kernel would do with each guest of a host. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_DOMAINS } from '../../libvirt/active-domains.ts'
import { fail } from '../../values/finding.ts'
import type { KernelPlan } from '../kernel/kernel-plan.ts'
import type { PoolFacts } from '../preflight/pool-facts.ts'
import { POOL, vmOf } from '../preflight/testing/facts.ts'
import { guestFates, type Planned } from './guest-fates.ts'

function poolWith(changes: Partial<PoolFacts>, ...vms: PoolFacts['vms']): PoolFacts {
  const pool = { ...POOL, ...changes }
  return {
    ...pool,
    vms: vms.map((vm) => ({ ...vm, definition: { ...vm.definition, mountPoint: pool.mountPoint } })),
  }
}

function planned(
  pools: readonly PoolFacts[],
  names: readonly string[],
  more: Partial<Planned> = {},
): Planned {
  const plan = {
    left: ['away'],
    vms: names.map((name) => ({ name, mountPoint: '/mnt/p', ramBytes: 0 })),
  } as unknown as KernelPlan
  const found = { pools, domains: NO_DOMAINS, unmanaged: [] }
  return { plan, findings: [], paused: [], found, ...more }
}

const wordsOf = (all: ReturnType<typeof guestFates>): string[] =>
  all.map(({ name, state, fate, why }) => `${name}: ${state}, ${fate}${why === null ? '' : `: ${why}`}`)

test('each guest is told: carried, refused, left, and lost with its pool', () => {
  const [runs, stopped, unfit] = ['runs', 'stopped', 'unfit'].map((name) => vmOf(name, 'running'))
  const pools = [
    poolWith({}, runs!, stopped!, unfit!, vmOf('idle', 'saved'), vmOf('gone', 'dead')),
    poolWith(
      { pool: 'q', mountPoint: '/mnt/q', store: 'memfd', by: undefined },
      vmOf('away', 'running'),
      vmOf('ends', 'running'),
      vmOf('slept', 'saved'),
    ),
  ]
  const findings = [
    fail('VM unfit', 'VM unfit: cannot be saved: nvme'),
    fail('VM unfit', 'VM unfit has RAM elsewhere'),
    fail('pool q', 'pool q ends with this kernel'),
  ]
  const all = guestFates(planned(pools, ['runs', 'stopped', 'unfit'], { findings, paused: ['stopped'] }))
  const lost = "lost: pool 'q' (store=memfd) ends with this kernel"
  assert.deepEqual(wordsOf(all), [
    'runs: running, carried',
    'stopped: paused, carried',
    'unfit: running, refused: cannot be saved: nvme; VM unfit has RAM elsewhere',
    'idle: saved, carried',
    'away: running, left: it ends with this kernel, and nothing of it is saved',
    `ends: running, ${lost}`,
    `slept: saved, ${lost}`,
  ])
})

test('a pool that is left out loses what is handed over, and keeps what lies in a carve-out', () => {
  const handedOver = { pool: 'q', mountPoint: '/mnt/q', store: 'memfd', by: 'luo', isChosen: false } as const
  const pools = [
    poolWith(handedOver, vmOf('a', 'saved')),
    poolWith({ ...handedOver, isChosen: true }, vmOf('b', 'saved')),
    poolWith({ isChosen: false }, vmOf('c', 'saved')),
  ]
  // By its mount point a guest's pool is found: here both of /mnt/q are one after the other.
  const [first, second, third] = pools.map((pool) => guestFates(planned([pool], [])))
  assert.deepEqual(wordsOf(first!), ["a: saved, lost: pool 'q' (store=memfd) is left out"])
  assert.deepEqual(wordsOf(second!), ['b: saved, carried'])
  assert.deepEqual(wordsOf(third!), ['c: saved, carried'])
})

test('a guest with RAM in two pools is one guest; those of nobody and of libvirt elsewhere are lost', () => {
  const spread = vmOf('spread', 'running')
  const pool = poolWith({}, spread)
  const also = { ...pool, pool: 'q', mountPoint: '/mnt/q' }
  const found = {
    pools: [pool, also],
    domains: { ...NO_DOMAINS, others: [{ uuid: 'u', name: 'vm', pid: 7, whyNot: 'its RAM is in no pool' }] },
    unmanaged: [{ pid: 9, program: 'qemu' }],
  }
  assert.deepEqual(wordsOf(guestFates(planned([], ['spread'], { found }))), [
    'spread: running, carried',
    'vm: running, lost: its RAM is in no pool',
    "process 9 (qemu): running, lost: 'guestmemfs run' did not start it",
  ])
})
