/** Checks that the state file of each guest has room in its pool. Must not: change anything. */
import { statfsSync } from 'node:fs'
import { isFrozen } from '../../pool/pool-view.ts'
import type { Vm } from '../../qemu/vm-list.ts'
import { type Finding, fail } from '../../values/finding.ts'
import { formatSize } from '../../values/size.ts'

/** In the order in which guests are saved: a finding for each whose state file has no room. */
export function checkStateSpace(
  guests: readonly { readonly vm: Vm; readonly stateBytes: number }[],
): Finding[] {
  const mountPoints = Map.groupBy(guests, ({ vm }) => vm.definition.mountPoint)
  return [...mountPoints].flatMap(([mountPoint, theirs]) => {
    if (isFrozen(mountPoint)) return [fail(mountPoint, `${mountPoint} is frozen: 'guestmemfs thaw' it first`)]
    const { bavail, bsize } = statfsSync(mountPoint)
    let freeBytes = bavail * bsize
    return theirs.flatMap(({ vm, stateBytes }) => {
      const isRoom = freeBytes >= stateBytes
      if (isRoom) freeBytes -= stateBytes
      return isRoom ? [] : [noRoom(vm, stateBytes, freeBytes)]
    })
  })
}

function noRoom({ definition }: Vm, stateBytes: number, freeBytes: number): Finding {
  const { name, mountPoint } = definition
  const subject = `VM ${name}`
  const [needed, free] = [stateBytes, freeBytes].map((bytes) => formatSize(bytes))
  return fail(
    subject,
    `${subject}: ${mountPoint} has no room for its state: it takes up to ${needed}, ${free} are free`,
  )
}
