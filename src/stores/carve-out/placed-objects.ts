/**
 * The memory objects of a carve-out, each with its blocks. The memory survives every process and every kexec,
 * so an object is no more than a number here: its blocks are recorded in the image alone, and `adopt` passes
 * them in after each start.
 */
import { BrokenInvariantError } from '../../values/errors.ts'
import type { ObjectId } from '../../values/ids.ts'
import type { Placement } from '../store.ts'

export interface PlacedObject extends Placement {
  /**
   * Whether the bytes behind its last one in its last block were zeroed; where they were not, growing does
   * it.
   */
  readonly isTailZero: boolean
}

export const EMPTY: PlacedObject = { sizeBytes: 0, extents: [], guestRam: false, isTailZero: true }

export class PlacedObjects {
  readonly #objects = new Map<ObjectId, PlacedObject>()
  #next = 1

  /** A number that no object has. Nothing else is made, so a crash leaves nothing. */
  create(): ObjectId {
    const object = this.#next as ObjectId
    this.set(object, EMPTY)
    return object
  }

  set(object: ObjectId, as: PlacedObject): void {
    this.#objects.set(object, as)
    this.#next = Math.max(this.#next, object + 1)
  }

  get(object: ObjectId): PlacedObject {
    const found = this.#objects.get(object)
    if (found === undefined) throw new BrokenInvariantError(`there is no memory object ${object}`)
    return found
  }

  /** Returns what it was. */
  delete(object: ObjectId): PlacedObject {
    const found = this.#objects.get(object) ?? EMPTY
    this.#objects.delete(object)
    return found
  }

  keys(): ObjectId[] {
    return [...this.#objects.keys()]
  }
}
