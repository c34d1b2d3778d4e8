/** A host and a pool that pass the preflight: each test changes what it is about. */
import type { Vm } from '../../../qemu/vm-list.ts'
import type { Finding } from '../../../values/finding.ts'
import type { HostFacts } from '../host-facts.ts'
import type { PoolFacts } from '../pool-facts.ts'

export const HOST: HostFacts = {
  release: '6.12.0',
  commandLine: 'root=/dev/vda',
  isPrivileged: true,
  kexec: { exists: true, isLoaded: false, isDisabled: false, callsLeft: undefined, lockdown: 'none' },
  availableBytes: 2 ** 30,
  hasSystemd: false,
  hadInitrd: false,
  firmware: [],
  regions: [],
  liveUpdate: undefined,
  version: 'Linux version 6.12.0 (builder) (gcc) #1 SMP',
  kvmGuests: [],
  nextBoot: { programs: [], lacksHelper: false, numbered: [] },
  bootMounts: { pools: ['p'], mountPoints: [] },
}

export const vmOf = (name: string, state: Vm['state']): Vm =>
  ({
    definition: { name, ramFiles: [{ path: `/mnt/p/${name}` }], saved: state === 'saved' ? {} : null },
    state,
    qemu: undefined,
  }) as unknown as Vm

export const POOL: PoolFacts = {
  pool: 'p',
  mountPoint: '/mnt/p',
  store: 'dax',
  by: 'carve-out',
  handover: undefined,
  outlivesShutdown: false,
  place: undefined,
  isChosen: true,
  holdsFiles: true,
  imageErrors: [],
  vms: [vmOf('a', 'running'), vmOf('b', 'saved'), vmOf('c', 'dead')],
  problems: [],
  formats: { image: 1 },
}

export const linesOf = (findings: readonly Finding[]): string[] =>
  findings.map(({ severity, message }) => `${severity}: ${message}`)
