/** Names that become file names under /run/guestmemfs and in the mount, and instances of systemd units. */
import { UsageError } from '../values/errors.ts'

const NAME = /^[A-Za-z0-9_.-]{1,64}$/
const isUsable = (name: string): boolean => NAME.test(name) && !name.startsWith('.')

/** `name`, which is the mount's source. Errors: UsageError. */
export function checkPoolName(name: string): string {
  if (isUsable(name)) return name
  throw new UsageError(
    `pool name '${name}' is not usable: take 1 to 64 of the characters A-Z a-z 0-9 _ . - (it is the mount's source)`,
  )
}

/** Whether a VM can have this name: its folder below /run has it, too. */
export const isVmName = isUsable

/** `name`, which is given with --name. Errors: UsageError. */
export function checkVmName(name: string): string {
  if (isVmName(name)) return name
  throw new UsageError(
    `VM name '${name}' is not usable: give one with --name, of 1 to 64 of the characters A-Z a-z 0-9 _ . -`,
  )
}
