/**
 * The search for the processes that run a KVM guest, by the descriptor that each of them has (kvm_create_vm
 * names it, virt/kvm/kvm_main.c). Needs root; sees the processes of its own pid namespace and those below it.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOfNodeError } from './library.ts'

const KVM_GUEST = 'anon_inode:kvm-vm'

export interface KvmGuest {
  readonly pid: number
  /** The program's name, as `ps` shows it; for messages. */
  readonly program: string
}

export function kvmGuests(proc = '/proc'): KvmGuest[] {
  return namesIn(proc).flatMap((name) => {
    const folder = join(proc, name)
    if (!/^\d+$/.test(name) || !namesIn(join(folder, 'fd')).some((fd) => isGuest(join(folder, 'fd', fd))))
      return []
    const program = orGone(() => readFileSync(join(folder, 'comm'), 'latin1').trim())
    return program === undefined ? [] : [{ pid: Number(name), program }]
  })
}

const namesIn = (folder: string): string[] => orGone(() => readdirSync(folder)) ?? []
const isGuest = (fd: string): boolean => orGone(() => readlinkSync(fd)) === KVM_GUEST

/** undefined where the process ended during the search. */
function orGone<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    errnoOfNodeError(error)
    return undefined
  }
}
