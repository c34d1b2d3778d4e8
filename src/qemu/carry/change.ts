/** What was changed in a machine while it ran, in the families that a command line can carry. */
import type { Family, Reading } from '../machine/reading.ts'

/** No line can express the change: the preflight refuses the machine, with this one line as the reason. */
export class CannotCarry extends Error {}

export interface Change {
  readonly added: readonly string[]
  readonly removed: readonly string[]
}
export const NO_CHANGE: Change = { added: [], removed: [] }
export type Changed = ReadonlyMap<Family, Change>
const CARRIED: readonly Family[] = [
  'devices',
  'boot order',
  'processors',
  'memory',
  'disks',
  'media',
  'networks',
]

export function changedItems(start: Reading, now: Reading): Changed {
  const found = CARRIED.flatMap((family) => {
    if (start.items[family] === undefined) return []
    const [before, after] = [start, now].map(({ items }) => new Set(items[family])) as [
      Set<string>,
      Set<string>,
    ]
    const [added, removed] = [[...after.difference(before)], [...before.difference(after)]]
    return added.length + removed.length === 0 ? [] : [[family, { added, removed }] as const]
  })
  return new Map(found)
}
