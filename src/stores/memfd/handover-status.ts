/**
 * The words of the descriptor table that hold the state of a handover to the next kernel. The server begins a
 * step and the keeper preserves its objects; both map the same words, and each may outlive the other. The
 * state changes in `begin` and `apply` alone, as the table of handover-transitions.ts has it.
 */

import { type Errno, errnoFromCode } from '../../values/errno.ts'
import type { HandoverStep } from '../../values/handover-step.ts'
import type { ObjectId } from '../../values/ids.ts'
import type { HandoverStatus } from '../store.ts'
import {
  beginEvent,
  HANDOVER_STATES,
  type HandoverEvent,
  type HandoverState,
  LAST_STEPS,
  type LastStep,
  nextState,
  type Role,
  requireNext,
} from './handover-transitions.ts'

/** Numbers of the words: part of the table's format. */
const WORD = { step: 0, state: 1, objects: 2, preserved: 3, errno: 4, object: 5 } as const
const WORDS = Object.keys(WORD).length

/** `guestmemfs.handover` has older words for the states, and other programs read them. */
const SHOWN = {
  idle: 'idle',
  preserving: 'busy',
  preserved: 'done',
  failed: 'failed',
  unpreserving: 'undoing',
} as const satisfies Record<HandoverState, HandoverStatus['state']>

export class HandoverWords {
  readonly #words: Int32Array
  readonly #role: Role

  /** `words`: those of the descriptor table. `role`: of this process, which decides what it may do. */
  constructor(words: Int32Array, role: Role) {
    this.#words = words
    this.#role = role
  }

  get status(): HandoverStatus {
    const errno = this.#get('errno')
    const object = this.#get('object')
    return {
      step: this.last,
      state: SHOWN[this.state],
      objects: this.#get('objects'),
      preserved: this.#get('preserved'),
      failure:
        errno === 0
          ? undefined
          : { errno: errnoFromCode(errno), object: object === 0 ? undefined : (object as ObjectId) },
    }
  }

  get state(): HandoverState {
    return HANDOVER_STATES[this.#get('state')] ?? 'idle'
  }

  get last(): LastStep {
    return LAST_STEPS[this.#get('step')] ?? 'none'
  }

  /** Everything is preserved: the sessions are what the next kernel retrieves. */
  get isComplete(): boolean {
    return this.state === 'preserved' && this.last === 'image'
  }

  allows(event: HandoverEvent): boolean {
    return nextState(this, event, this.#role) !== undefined
  }

  /** `objects`: how many this step adds. The state is stored last: a reader that sees it sees the rest. */
  begin(step: HandoverStep, objects: number): void {
    const { last } = this
    let from = this.state
    let to = requireNext({ state: from, last }, beginEvent(step), this.#role)
    this.#set('objects', this.#get('objects') + objects)
    this.#set('step', LAST_STEPS.indexOf(step))
    // The other process may change the state meanwhile: then the transition is looked up again.
    while (!this.#replace(from, to)) {
      from = this.state
      to = requireNext({ state: from, last }, beginEvent(step), this.#role)
    }
  }

  preservedOne(): void {
    this.#set('preserved', this.#get('preserved') + 1)
  }

  /** The reason is kept for the operator, whatever the state is by now. */
  fail(errno: Errno, object: ObjectId | undefined): void {
    this.#set('errno', errno.code)
    this.#set('object', object ?? 0)
    this.apply('fail')
  }

  /**
   * True when the state is another one now. The other process may change it meanwhile: then the transition is
   * looked up again.
   */
  apply(event: HandoverEvent): boolean {
    for (;;) {
      const from = this.state
      const to = requireNext({ state: from, last: this.last }, event, this.#role)
      if (to === from) return false
      if (to === 'idle') this.#clear()
      if (this.#replace(from, to)) return true
    }
  }

  /** Copies the words of the table that this one replaces. */
  copyFrom(other: HandoverWords): void {
    // Each keeper writes the words behind these anew.
    this.#words.set(other.#words.subarray(0, WORDS))
  }

  #clear(): void {
    for (const word of ['step', 'objects', 'preserved', 'errno', 'object'] as const) this.#set(word, 0)
  }

  #get(word: keyof typeof WORD): number {
    return Atomics.load(this.#words, WORD[word])
  }

  #set(word: keyof typeof WORD, value: number): void {
    Atomics.store(this.#words, WORD[word], value)
  }

  #replace(from: HandoverState, to: HandoverState): boolean {
    const [old, next] = [HANDOVER_STATES.indexOf(from), HANDOVER_STATES.indexOf(to)]
    return Atomics.compareExchange(this.#words, WORD.state, old, next) === old
  }
}
