/**
 * A region made of a memfd: its bytes are real and can be mapped, zeroed and read, its devices are a list.
 * The test sets which devices are held. It enforces the kernel's rule that two devices never share a byte.
 */
import assert from 'node:assert/strict'
import { sameRanges } from '../../../linux/dax-device.ts'
import type { DeviceNumber } from '../../../linux/device-node.ts'
import type { Holder } from '../../../linux/holders.ts'
import { memfdCreate, readAt, resize, writeAt } from '../../../linux/memory.ts'
import { anyOverlap } from '../../../linux/memory-ranges.ts'
import { mapRaw, type RawMapping } from '../../../linux/raw-memory.ts'
import { ENOMEM, Errno } from '../../../values/errno.ts'
import type { Fd } from '../../../values/ids.ts'
import { PMD_BYTES } from '../../../values/units.ts'
import type { Ranges } from '../jobs.ts'
import { layOut, type RegionLayout } from '../layout.ts'
import type { Instance, RangeMapper } from '../range-mapper.ts'

const START = 2 ** 32

export class FakeRegion implements RangeMapper {
  readonly layout: RegionLayout
  readonly instances = new Map<string, Instance>()
  readonly held = new Set<DeviceNumber>()
  /** `make START+LENGTH`, `destroy …`, `map …`, in units of blocks. */
  readonly trace: string[] = []
  readonly #memory: Fd
  readonly #lengthBytes: number
  #lastId = 0

  constructor(blocks: number) {
    this.#lengthBytes = blocks * PMD_BYTES
    this.layout = layOut({ start: START, lengthBytes: this.#lengthBytes }, 'dax0.0')
    this.#memory = memfdCreate('region', { sealable: false })
    resize(this.#memory, this.#lengthBytes)
  }

  exactly(ranges: Ranges): Instance | undefined {
    return [...this.instances.values()].find((instance) => sameRanges(instance.ranges, ranges))
  }

  overlapping(ranges: Ranges): Instance[] {
    return [...this.instances.values()].filter((instance) => anyOverlap(instance.ranges, ranges))
  }

  make(ranges: Ranges, { gigantic = false } = {}): Instance | Errno {
    if (this.overlapping(ranges).length > 0) return ENOMEM
    const id = ++this.#lastId
    const instance = { name: `dax0.${id}`, number: `250:${id}` as const, ranges }
    this.instances.set(instance.name, instance)
    this.#note(gigantic ? 'make gigantic' : 'make', ranges)
    return instance
  }

  destroy(instance: Instance): undefined {
    assert.ok(!this.held.has(instance.number), `${instance.name} is held and must not be destroyed`)
    assert.ok(this.instances.delete(instance.name))
    this.#note('destroy', instance.ranges)
  }

  /** For instances of one range, as all that the worker maps are. */
  map(instance: Instance): RawMapping | Errno {
    assert.equal(instance.ranges.length, 1)
    const [range] = instance.ranges
    assert.ok(range)
    const whole = mapRaw(this.#memory, this.#lengthBytes, { writable: true })
    assert.ok(!(whole instanceof Errno))
    return { address: whole.address + (range.start - START), lengthBytes: range.lengthBytes }
  }

  holders(instances: readonly Instance[]): Map<string, Holder> {
    const held = instances.filter(({ number }) => this.held.has(number))
    return new Map(held.map(({ name }) => [name, { pid: 42, program: 'guest' }]))
  }

  fill(block: number, count: number, byte: number): void {
    writeAt(this.#memory, block * PMD_BYTES, Buffer.alloc(count * PMD_BYTES, byte))
  }

  /** Removes everything from this block on: a load or store there raises SIGBUS, as at a poisoned page. */
  lose(block: number): void {
    resize(this.#memory, block * PMD_BYTES)
  }

  isAll(block: number, count: number, byte: number): boolean {
    const into = Buffer.alloc(count * PMD_BYTES)
    readAt(this.#memory, block * PMD_BYTES, into)
    return into.equals(Buffer.alloc(into.length, byte))
  }

  #note(what: string, ranges: Ranges): void {
    const blocks = ranges.map(
      ({ start, lengthBytes }) => `${(start - START) / PMD_BYTES}+${lengthBytes / PMD_BYTES}`,
    )
    this.trace.push(`${what} ${blocks.join(' ')}`)
  }
}
