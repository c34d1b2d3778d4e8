/** What an update of the kernel would do with each guest of this host. Pure. */
import type { ActiveDomain } from '../../libvirt/active-domains.ts'
import { ramBytesOf } from '../../qemu/vm-definition.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import type { Preflight } from '../kernel/kernel-plan.ts'
import { reasonsOf } from '../preflight/guest-findings.ts'
import { outlivesKexec, type PoolFacts } from '../preflight/pool-facts.ts'
import type { GuestFate, RehearsedGuest } from './rehearsal.ts'

/** Without what reports tell. */
export type FatedGuest = Omit<RehearsedGuest, 'expected' | 'quitFirst'>

const LEFT = 'it ends with this kernel, and nothing of it is saved'

export type Planned = Pick<Preflight, 'plan' | 'findings' | 'paused' | 'found'>

/** Those in pools first. A VM whose QEMU was killed is none. */
export function guestFates(planned: Planned): FatedGuest[] {
  const { pools, domains, unmanaged } = planned.found
  // A VM with RAM in several pools is in the list of each.
  const vms = [...new Set(pools.flatMap((pool) => pool.vms))].filter(({ state }) => state !== 'dead')
  const nowhere = { mountPoint: null, ramBytes: null, fate: 'lost', state: 'running' } as const
  return [
    ...vms.map((vm) => fateOfVm(vm, planned)),
    ...domains.ours.map((domain) => fateOfDomain(domain, planned)),
    ...domains.others.map(({ name, whyNot }) => ({ ...nowhere, name, why: whyNot })),
    ...unmanaged.map(({ pid, program }) => ({
      ...nowhere,
      name: `process ${pid} (${program})`,
      why: "'guestmemfs run' did not start it",
    })),
  ]
}

function fateOfVm({ definition, state }: Vm, planned: Planned): FatedGuest {
  const { name, mountPoint } = definition
  const guest = { name, mountPoint, ramBytes: ramBytesOf(definition) }
  if (state !== 'saved') return { ...guest, state: runState(name, planned), ...fateOf(guest, planned) }
  const pool = poolOf(mountPoint, planned)
  const arrives = pool?.by === 'carve-out' || (pool?.by === 'luo' && pool.isChosen)
  return { ...guest, state, ...(arrives ? orRefused(name, planned) : lostWith(pool)) }
}

function fateOfDomain({ about: { name }, mountPoint, ram }: ActiveDomain, planned: Planned): FatedGuest {
  const guest = { name, mountPoint, ramBytes: ramBytesOf({ ramFiles: ram }) }
  return { ...guest, state: runState(name, planned), ...fateOf(guest, planned) }
}

const runState = (name: string, { paused }: Planned): 'running' | 'paused' =>
  paused.includes(name) ? 'paused' : 'running'

interface Fate {
  readonly fate: GuestFate
  readonly why: string | null
}

/** Of a guest that has a QEMU. */
function fateOf({ name, mountPoint }: { name: string; mountPoint: string }, planned: Planned): Fate {
  const { left, vms } = planned.plan
  if (left.includes(name)) return { fate: 'left', why: LEFT }
  const isPlanned = vms.some((vm) => vm.name === name && vm.mountPoint === mountPoint)
  const fate = orRefused(name, planned)
  return isPlanned || fate.fate === 'refused' ? fate : lostWith(poolOf(mountPoint, planned))
}

/** Errors about the guest alone refuse it. */
function orRefused(name: string, { findings }: Planned): Fate {
  const refusals = findings.filter(({ severity }) => severity === 'error')
  const why = reasonsOf({ name }, refusals)
  return why === '' ? { fate: 'carried', why: null } : { fate: 'refused', why }
}

const poolOf = (mountPoint: string, { found }: Planned): PoolFacts | undefined =>
  found.pools.find((pool) => pool.mountPoint === mountPoint)

function lostWith(pool: PoolFacts | undefined): Fate {
  if (pool === undefined) return { fate: 'lost', why: 'its pool is not mounted' }
  const why = outlivesKexec(pool) ? 'is left out' : 'ends with this kernel'
  return { fate: 'lost', why: `pool '${pool.pool}' (store=${pool.store}) ${why}` }
}
