/**
 * The rehearsal of an update of QEMU alone: the preflight of its guests, each with the trial of its next QEMU
 * beside the one that runs, and whether the old one would have to end first. Must not: start a successor.
 */
import type { ActiveDomain } from '../../libvirt/active-domains.ts'
import { SuccessorRoom } from '../../qemu/successor/room.ts'
import { ramBytesOf } from '../../qemu/vm-definition.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import { recordRunningUpdate } from '../../run/running-updates.ts'
import { fail } from '../../values/finding.ts'
import { whyQuitFirst } from '../guest/why-quit-first.ts'
import { reasonsOf } from '../preflight/guest-findings.ts'
import type { HostUpdate } from '../report/host-updates.ts'
import { checkVmmUpdate, chooseGuests, findGuests, type VmmCheck, type VmmUpdate } from '../vmm-plan.ts'
import { expectedBlackout } from './expected-blackout.ts'
import type { Rehearsal, RehearsedGuest } from './rehearsal.ts'

/** `updates`: as of `KnownUpdates.all`. Errors (UsageError): as those of the update. */
export async function rehearseVmms(update: VmmUpdate, updates: readonly HostUpdate[]): Promise<Rehearsal> {
  const ended = recordRunningUpdate()
  try {
    return await rehearse(update, updates)
  } finally {
    ended()
  }
}

async function rehearse(update: VmmUpdate, updates: readonly HostUpdate[]): Promise<Rehearsal> {
  const found = await findGuests(update)
  const { mountPoint, domains, problems, warnings } = found
  const unread = problems.map((problem) => fail(mountPoint, problem))
  const nothing = { kind: 'vmm-only', plan: null, load: null } as const
  const vms = chooseGuests(found, update.names)
  if (vms === undefined) return { ...nothing, isReady: false, guests: [], findings: unread }
  const check = await checkVmmUpdate({ ...update, vms, domains })
  const checked = { check, updates }
  const guests = [
    ...(await Promise.all(vms.map((vm) => rehearsedVm(vm, checked)))),
    ...domains.map((domain) => rehearsedDomain(domain, checked)),
  ]
  const findings = [...unread, ...warnings, ...check.findings]
  const isReady = !check.isRefused && check.refusals.length + unread.length === 0
  return { ...nothing, isReady, guests, findings }
}

interface Checked {
  readonly check: VmmCheck
  readonly updates: readonly HostUpdate[]
}

async function rehearsedVm(vm: Vm, { check, updates }: Checked): Promise<RehearsedGuest> {
  const { definition, qemu } = vm
  const guest = {
    ...base(definition, check),
    mountPoint: definition.mountPoint,
    ramBytes: ramBytesOf(definition),
  }
  if (guest.fate !== 'carried' || qemu === undefined) return { ...guest, expected: null }
  // Each alone: how many wait at once is not known before.
  const quitFirst = await new SuccessorRoom().run(qemu.pid, async (hasRoom) =>
    whyQuitFirst(definition, check.lines.get(definition.name), { pid: qemu.pid, hasRoom }),
  )
  return { ...guest, quitFirst, expected: expectedOf({ ...guest, quitFirst }, updates) }
}

function rehearsedDomain(
  { about, mountPoint, ram }: ActiveDomain,
  { check, updates }: Checked,
): RehearsedGuest {
  const guest = { ...base(about, check), mountPoint, ramBytes: ramBytesOf({ ramFiles: ram }) }
  return { ...guest, expected: guest.fate === 'carried' ? expectedOf(guest, updates) : null }
}

function base({ name }: { readonly name: string }, { refusals, isRefused, paused }: VmmCheck) {
  const why = reasonsOf({ name }, refusals) || (isRefused ? 'the update is refused for all' : null)
  const fate = why === null ? 'carried' : 'refused'
  return { name, fate, why, state: paused.includes(name) ? 'paused' : 'running' } as const
}

const expectedOf = (
  guest: Pick<RehearsedGuest, 'name' | 'state' | 'quitFirst'>,
  updates: readonly HostUpdate[],
): RehearsedGuest['expected'] =>
  guest.state === 'running' ? expectedBlackout(updates, { kind: 'vmm-only' }, guest) : null
