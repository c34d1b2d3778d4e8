/** What is measured of guests. Pure. */
import type { MetricFamily } from './exposition.ts'

/** 'stopped': by an update, in a QEMU that runs. The others are as of `Vm`. */
const VM_STATES = ['running', 'stopped', 'saved', 'dead'] as const
export type VmState = (typeof VM_STATES)[number]

export interface MeasuredVm {
  readonly pool: string
  readonly name: string
  readonly state: VmState
  readonly ramBytes: number
}

/** `pools`: names of those whose guests are known, which may have none. */
export function vmMetrics(recorded: readonly MeasuredVm[], pools: readonly string[]): MetricFamily[] {
  const vms = withoutNamesakes(recorded)
  const countOf = (pool: string, state: VmState): number =>
    vms.filter((vm) => vm.pool === pool && vm.state === state).length
  return [
    {
      name: 'guestmemfs_vms',
      type: 'gauge',
      help: 'Guests whose RAM is in the pool, by their state.',
      samples: pools.flatMap((pool) =>
        VM_STATES.map((state) => ({ labels: { pool, state }, value: countOf(pool, state) })),
      ),
    },
    {
      name: 'guestmemfs_vm_state',
      type: 'gauge',
      help: 'Whether the guest is in this state by its records: running; stopped by an update, in a QEMU that runs; saved; dead, its QEMU was killed. A guest that its operator paused is running.',
      samples: vms.flatMap(({ pool, name, state }) =>
        VM_STATES.map((each) => ({ labels: { pool, vm: name, state: each }, value: Number(each === state) })),
      ),
    },
    {
      name: 'guestmemfs_vm_ram_bytes',
      type: 'gauge',
      help: 'RAM of the guest, without memory that it shares with other guests.',
      samples: vms.map(({ pool, name, ramBytes }) => ({ labels: { pool, vm: name }, value: ramBytes })),
    },
  ]
}

/**
 * Two files of a pool may be recorded for one name, of which one VM runs at most: that one is taken, else the
 * one that is saved.
 */
function withoutNamesakes(vms: readonly MeasuredVm[]): MeasuredVm[] {
  const first = new Map<string, MeasuredVm>()
  const byState = [...vms].sort((a, b) => VM_STATES.indexOf(a.state) - VM_STATES.indexOf(b.state))
  for (const vm of byState) {
    const key = JSON.stringify([vm.pool, vm.name])
    if (!first.has(key)) first.set(key, vm)
  }
  return vms.filter((vm) => first.get(JSON.stringify([vm.pool, vm.name])) === vm)
}
