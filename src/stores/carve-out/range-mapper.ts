/**
 * How the worker maps pieces of a carve-out, and finds which process holds them. The store decides what such
 * a piece is to the kernel (a device of its own, a window of another). Types alone.
 */
import type { DeviceNumber } from '../../linux/device-node.ts'
import type { Holder } from '../../linux/holders.ts'
import type { PhysicalRange } from '../../linux/memory-ranges.ts'
import type { RawMapping } from '../../linux/raw-memory.ts'
import type { Errno } from '../../values/errno.ts'

/** A piece that can be mapped. */
export interface Instance {
  readonly name: string
  /** The device that maps it. */
  readonly number: DeviceNumber
  readonly ranges: readonly PhysicalRange[]
}

export interface RangeMapper {
  /** The instance that covers these ranges in this order, and nothing else. */
  exactly(ranges: readonly PhysicalRange[]): Instance | undefined
  /** The instances by which a process could hold bytes of these ranges. */
  overlapping(ranges: readonly PhysicalRange[]): Instance[]
  make(ranges: readonly PhysicalRange[], options?: { gigantic?: boolean }): Instance | Errno
  /** The caller has checked that no process maps it. */
  destroy(instance: Instance): Errno | undefined
  /** All of it, mapped by address. */
  map(instance: Instance, access: { writable: boolean }): RawMapping | Errno
  /** By name, the instances that another process holds, with one such process for each. Slow. */
  holders(instances: readonly Instance[]): ReadonlyMap<string, Holder>
}
