/** The table of scenarios: what `npm run testbed` lists, and what the tiers of tests run. */
import { UsageError } from '../../src/values/errors.ts'
import type { Scenario, ScenarioTier } from '../scenario/scenario.ts'
import { boot } from './boot.ts'
import { cycles } from './cycles.ts'
import { daxStore } from './dax-store.ts'
import { devmem } from './devmem.ts'
import { devmemUpdate } from './devmem-update.ts'
import { earlyKilled } from './early-killed.ts'
import { earlySystemd } from './early-systemd.ts'
import { faultCode, faultMemory, faultPanic, faultProcessor, faultRestart } from './faults.ts'
import { gigantic } from './gigantic.ts'
import { hidden } from './hidden.ts'
import { wholeHost } from './host.ts'
import { hostFaults } from './host-faults.ts'
import { hostLibvirt } from './host-libvirt.ts'
import { kexec } from './kexec.ts'
import { kexecRaw } from './kexec-raw.ts'
import { kho } from './kho.ts'
import { khoAbort } from './kho-abort.ts'
import { khoFromOlder } from './kho-from-older.ts'
import { khoMany } from './kho-many.ts'
import { khoRefuse } from './kho-refuse.ts'
import { libvirt } from './libvirt.ts'
import { libvirtKernel, libvirtKho } from './libvirt-kernel.ts'
import { linuxGuest } from './linux-guest.ts'
import { linuxShare } from './linux-share.ts'
import { living } from './living.ts'
import { many } from './many.ts'
import { mount } from './mount.ts'
import { mountTier } from './mount-tier.ts'
import { numa } from './numa.ts'
import { numaKho } from './numa-kho.ts'
import { overhead } from './overhead.ts'
import { debianPackage } from './package.ts'
import { pages } from './pages.ts'
import { poison } from './poison.ts'
import { poisonKexec } from './poison-kexec.ts'
import { refuse } from './refuse.ts'
import { reserve } from './reserve.ts'
import { softReboot } from './soft-reboot.ts'
import { systemd } from './systemd.ts'
import { systemdKho } from './systemd-kho.ts'
import { torn } from './torn.ts'
import { update } from './update.ts'
import { vfio } from './vfio.ts'

export const SCENARIOS: Readonly<Record<string, Scenario<unknown>>> = {
  boot,
  mount,
  'mount-tier': mountTier,
  kexec,
  update,
  'kexec-raw': kexecRaw,
  kho,
  'kho-many': khoMany,
  'kho-abort': khoAbort,
  'kho-refuse': khoRefuse,
  'kho-from-older': khoFromOlder,
  'early-killed': earlyKilled,
  'early-systemd': earlySystemd,
  'dax-store': daxStore,
  devmem,
  'devmem-update': devmemUpdate,
  hidden,
  gigantic,
  overhead,
  pages,
  poison,
  'poison-kexec': poisonKexec,
  reserve,
  refuse,
  systemd,
  'soft-reboot': softReboot,
  'systemd-kho': systemdKho,
  package: debianPackage,
  libvirt,
  'libvirt-kernel': libvirtKernel,
  'libvirt-kho': libvirtKho,
  torn,
  living,
  numa,
  'numa-kho': numaKho,
  'linux-guest': linuxGuest,
  'linux-share': linuxShare,
  vfio,
  many,
  host: wholeHost,
  'host-libvirt': hostLibvirt,
  'host-faults': hostFaults,
  cycles,
  'fault-memory': faultMemory,
  'fault-code': faultCode,
  'fault-processor': faultProcessor,
  'fault-restart': faultRestart,
  'fault-panic': faultPanic,
}

/** Throws `UsageError` with the names of all. */
export function findScenario(name: string): Scenario<unknown> {
  const scenario = Object.hasOwn(SCENARIOS, name) ? SCENARIOS[name] : undefined
  if (scenario !== undefined) return scenario
  throw new UsageError(`no scenario ${name}: there are ${Object.keys(SCENARIOS).join(', ')}`)
}

/** Names, in the order of the table. */
export const scenariosOf = (...tiers: readonly ScenarioTier[]): string[] =>
  Object.entries(SCENARIOS).flatMap(([name, { tier }]) =>
    tier !== undefined && tiers.includes(tier) ? [name] : [],
  )
