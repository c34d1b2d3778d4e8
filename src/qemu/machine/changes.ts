/**
 * What speaks against ending a VM's QEMU: the preflight asks before the guest is paused, the save again when
 * nobody can change the machine any more. Both refuse the same.
 */
import type { VmDefinition } from '../vm-definition.ts'
import { differences } from './differences.ts'
import { lostRam } from './ram-blocks.ts'
import type { Reading } from './reading.ts'

/**
 * Why a VM's next QEMU would not be the machine that runs, one line each. `start`: undefined where it was not
 * read. Errors (UsageError): a RAM file cannot be read.
 */
export const changes = (definition: VmDefinition, start: Reading | undefined, now: Reading): string[] => [
  ...lostRam(now.ram, definition),
  ...(start === undefined ? [] : differences(start, now)),
]
