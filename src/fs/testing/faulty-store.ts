/**
 * A store with injected failures: the test chooses which of the calls that can fail does, and with which
 * errno. A call that fails has changed nothing, as the contract of `Store` requires.
 */
import type { Placement } from '../../stores/store.ts'
import type { Errno } from '../../values/errno.ts'
import type { ObjectId } from '../../values/ids.ts'
import type { Refusal } from '../../values/refusal.ts'
import { MemoryStore } from './memory-store.ts'

export interface Fault {
  /** The first call that fails, from 1 on. */
  readonly at: number
  readonly errno: Errno
  /** The calls after it fail as well: a limit that stays. */
  readonly lasts: boolean
}

export class FaultyStore extends MemoryStore {
  #fault: Fault | undefined
  #calls = 0

  /** undefined: all calls succeed from now on. */
  arm(fault: Fault | undefined): void {
    this.#fault = fault
    this.#calls = 0
    this.failed.clear()
  }

  /** Names of the calls that have failed since `arm`. */
  readonly failed = new Set<string>()

  /** Whether a call has failed since `arm`. */
  get hasFailed(): boolean {
    return this.#fault !== undefined && this.#calls >= this.#fault.at
  }

  /** Of the call `name`: why it fails. Facets that a test adds ask here as well. */
  refusal(name: string): Errno | undefined {
    this.#calls++
    const fault = this.#fault
    if (fault === undefined || this.#calls < fault.at) return undefined
    if (this.#calls > fault.at && !fault.lasts) return undefined
    this.failed.add(name)
    return fault.errno
  }

  override create(): ObjectId | Refusal {
    return this.refusal('create') ?? super.create()
  }

  override resize(object: ObjectId, to: Placement): Refusal | undefined {
    return this.refusal('resize') ?? super.resize(object, to)
  }

  override read(object: ObjectId, offset: number, into: Uint8Array): number | Refusal {
    return this.refusal('read') ?? super.read(object, offset, into)
  }

  override write(object: ObjectId, offset: number, from: Uint8Array): number | Refusal {
    return this.refusal('write') ?? super.write(object, offset, from)
  }

  override punchHole(object: ObjectId, offset: number, length: number): Refusal | undefined {
    return this.refusal('punchHole') ?? super.punchHole(object, offset, length)
  }

  override seek(object: ObjectId, offset: number, whence: number): number | Refusal {
    return this.refusal('seek') ?? super.seek(object, offset, whence)
  }
}
