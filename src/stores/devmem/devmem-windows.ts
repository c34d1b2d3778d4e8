/**
 * Pieces of a reserved range as the worker maps them: a window of /dev/mem need not be made, takes no memory
 * until it is mapped, and ends with its mapping. The kernel does not keep two processes from mapping the same
 * window, so the worker searches for holders each time.
 */
import type { Holder } from '../../linux/holders.ts'
import { MEMORY_DEVICE, mapMemory } from '../../linux/memory-device.ts'
import { findMemoryHolders } from '../../linux/memory-holders.ts'
import type { PhysicalRange } from '../../linux/memory-ranges.ts'
import type { RawMapping } from '../../linux/raw-memory.ts'
import type { Errno } from '../../values/errno.ts'
import { BrokenInvariantError } from '../../values/errors.ts'
import type { Instance, RangeMapper } from '../carve-out/range-mapper.ts'

export class DevmemWindows implements RangeMapper {
  readonly #memoryPath: string
  readonly #proc: string
  readonly #onTask: (() => void) | undefined

  /** `onTask`: see `runWorker`. */
  constructor(memoryPath: string, proc: string, onTask?: () => void) {
    this.#memoryPath = memoryPath
    this.#proc = proc
    this.#onTask = onTask
  }

  /** No window is kept: each is made anew, after a search for processes that map it. */
  exactly(): undefined {}

  overlapping(ranges: readonly PhysicalRange[]): Instance[] {
    return ranges.map((range) => windowOf([range]))
  }

  make(ranges: readonly PhysicalRange[]): Instance {
    return windowOf(ranges)
  }

  destroy(): undefined {}

  map({ name, ranges }: Instance, access: { writable: boolean }): RawMapping | Errno {
    const [range] = ranges
    if (range === undefined || ranges.length !== 1)
      throw new BrokenInvariantError(`${name} is not one window`)
    return mapMemory(this.#memoryPath, range, access)
  }

  holders(instances: readonly Instance[]): Map<string, Holder> {
    const ranges = instances.flatMap((instance) => instance.ranges)
    const held = findMemoryHolders(ranges, this.#proc, this.#onTask)
    const found = instances.map(({ name, ranges: own }) => [
      name,
      own.flatMap((range) => held.get(range) ?? [])[0],
    ])
    return new Map(found.filter((pair): pair is [string, Holder] => pair[1] !== undefined))
  }
}

const windowOf = (ranges: readonly PhysicalRange[]): Instance => ({
  name: ranges.map(({ start, lengthBytes }) => `${start.toString(16)}+${lengthBytes.toString(16)}`).join(','),
  number: MEMORY_DEVICE,
  ranges,
})
