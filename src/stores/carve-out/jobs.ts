/**
 * The messages between the server's thread and the worker beside it: jobs, each with the physical ranges that
 * it changes, and their results. Types alone.
 */
import type { DeviceNumber } from '../../linux/device-node.ts'
import type { Holder } from '../../linux/holders.ts'
import type { PhysicalRange } from '../../linux/memory-ranges.ts'
import type { RawMapping } from '../../linux/raw-memory.ts'

export type Ranges = readonly PhysicalRange[]

export type Job = {
  readonly id: number
  readonly ranges: Ranges
  /** It is to be mapped by gigantic pages. */
  readonly gigantic?: boolean
} /** Make an instance that covers the ranges, for a guest; destroy those across them that no process holds. */ & (
  | { readonly kind: 'make' }
  /** The same, mapped for the server, until it is dropped. */
  | { readonly kind: 'chunk' }
  /** Its mapping is not used any more: unmap and destroy. */
  | { readonly kind: 'drop' }
  /** Destroy every instance that lies across the ranges, if no process holds one of them. */
  | { readonly kind: 'free' }
  /** Zero the ranges; where that fails, some of them may be. */
  | { readonly kind: 'clear' }
)

export type Result = { readonly id: number } & (
  | { readonly kind: 'made'; readonly number: DeviceNumber }
  | { readonly kind: 'mapped'; readonly mapping: RawMapping }
  | { readonly kind: 'done' }
  | { readonly kind: 'held'; readonly by: Holder }
  | { readonly kind: 'failed'; readonly errnoCode: number }
  /** The worker's own state contradicts itself: the server must end. */
  | { readonly kind: 'broken'; readonly reason: string }
)

export type JobKind = Job['kind']
export type JobOutcome = Result extends infer R ? (R extends Result ? Omit<R, 'id'> : never) : never
