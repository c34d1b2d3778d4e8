/**
 * Why an operation did nothing: an `Errno`, which is the answer to its request, or a `Wait`, which is never
 * sent to the kernel: a function that takes an `Errno` does not accept a `Wait`.
 */
import { type Errno, Refused } from './errno.ts'

/**
 * Not a failure: nothing has changed yet, and the server runs the same operation again later. `store`: once
 * the store's slow work is done; `zeroing`: once blocks that hold a former owner's bytes are zeroed; `room`:
 * once the kernel has forgotten unlinked files that still own memory.
 */
export class Wait extends Refused {
  readonly reason: 'store' | 'zeroing' | 'room'

  constructor(reason: 'store' | 'zeroing' | 'room') {
    super()
    this.reason = reason
  }

  override toString(): string {
    return `wait for ${this.reason}`
  }
}

export const WAIT_FOR_STORE = new Wait('store')
export const WAIT_FOR_ZEROING = new Wait('zeroing')
export const WAIT_FOR_ROOM = new Wait('room')

export type Refusal = Errno | Wait

/** The test for both: `result instanceof Refusal`. */
export const Refusal = Refused as unknown as {
  [Symbol.hasInstance](value: unknown): value is Refusal
}
