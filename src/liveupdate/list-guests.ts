/** The guests of this host with RAM in a mount: those that `guestmemfs run` has recorded, and libvirt's. */
import { interruptedByUpdate, leftLines } from '../qemu/interrupted-guests.ts'
import { describeVm, type ListedVm, readVms } from '../qemu/vm-list.ts'
import { settleEnds } from '../qemu/watch/watcher-client.ts'
import { listDomains } from './domains/list-domains.ts'
import { vmMounts } from './vm-mounts.ts'

export interface GuestList {
  readonly guests: readonly ListedVm[]
  /** One line for each mount or record that cannot be read; all others are listed. */
  readonly problems: readonly string[]
  /** One line for each guest that an update has left, and for each domain that libvirt runs elsewhere. */
  readonly remarks: readonly string[]
}

/**
 * `named`: as of `vmMounts`. `asks`: whether each QEMU is asked if an update has left its guest stopped; else
 * that is known of a guest that was saved alone. Errors: UsageError.
 */
export async function listGuests(named: string | undefined, asks: boolean): Promise<GuestList> {
  await settleEnds()
  const { mounts, problems } = vmMounts(named)
  const { vms, problems: unread } = readVms(mounts.flatMap((mount) => mount.recorded))
  const domains = await listDomains(mounts.map(({ mountPoint }) => mountPoint))
  const interrupted = asks ? await interruptedByUpdate(vms) : undefined
  const isStopped = (vm: (typeof vms)[number]): boolean =>
    interrupted === undefined
      ? vm.state === 'running' && vm.definition.saved !== null
      : interrupted.get(vm) === 'stopped'
  return {
    guests: [...vms.map((vm) => describeVm(vm, isStopped(vm))), ...domains.rows],
    problems: [...problems, ...unread, ...domains.problems],
    remarks: [
      ...(interrupted === undefined ? [] : leftLines(interrupted)),
      ...(named === undefined ? domains.others : []),
    ],
  }
}
