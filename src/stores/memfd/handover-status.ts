/**
 * The words of the descriptor table that hold the state of a handover to the next kernel. The server begins a step and the keeper
 * preserves its objects; both map the same words, and each may outlive the other. One writes at a time: a step that is `busy` is the
 * keeper's.
 */

import type { Errno } from '../../values/errno.ts'
import { errnoFromCode } from '../../values/errno.ts'
import type { ObjectId } from '../../values/ids.ts'
import { HANDOVER_STEPS, type HandoverStatus, type HandoverStep } from '../store.ts'

const WORD = { step: 0, state: 1, memories: 2, preserved: 3, errno: 4, memory: 5 } as const
const STEPS = ['none', ...HANDOVER_STEPS] as const
const STATES = ['idle', 'busy', 'done', 'failed', 'undoing'] as const
type State = (typeof STATES)[number]

export class HandoverWords {
  readonly #words: Int32Array

  /** `words`: those of the descriptor table. */
  constructor(words: Int32Array) {
    this.#words = words
  }

  get status(): HandoverStatus {
    const errno = this.#get('errno')
    const memory = this.#get('memory')
    return {
      step: STEPS[this.#get('step')] ?? 'none',
      state: this.state,
      objects: this.#get('memories'),
      preserved: this.#get('preserved'),
      failure:
        errno === 0
          ? undefined
          : { errno: errnoFromCode(errno), memory: memory === 0 ? undefined : (memory as ObjectId) },
    }
  }

  get state(): State {
    return STATES[this.#get('state')] ?? 'idle'
  }

  /** `memories`: how many this step adds. The state is stored last: a reader that sees it sees the rest. */
  busy(step: HandoverStep, memories: number): void {
    this.#set('memories', this.#get('memories') + memories)
    this.#set('step', STEPS.indexOf(step))
    this.#setState('busy')
  }

  preservedOne(): void {
    this.#set('preserved', this.#get('preserved') + 1)
  }

  /** Without effect where the server asked to unpreserve meanwhile. */
  done(): void {
    this.#leaveBusy('done')
  }

  failed(errno: Errno, object: ObjectId | undefined): void {
    this.#set('errno', errno.code)
    this.#set('memory', object ?? 0)
    this.#leaveBusy('failed')
  }

  unpreserving(): void {
    this.#setState('undoing')
  }

  idle(): void {
    for (const word of ['step', 'memories', 'preserved', 'errno', 'memory'] as const) this.#set(word, 0)
    this.#setState('idle')
  }

  /** What another table says, for one that takes its place. */
  copyFrom(other: HandoverWords): void {
    this.#words.set(other.#words)
  }

  #get(word: keyof typeof WORD): number {
    return Atomics.load(this.#words, WORD[word])
  }

  #set(word: keyof typeof WORD, value: number): void {
    Atomics.store(this.#words, WORD[word], value)
  }

  #leaveBusy(state: 'done' | 'failed'): void {
    Atomics.compareExchange(this.#words, WORD.state, STATES.indexOf('busy'), STATES.indexOf(state))
  }

  #setState(state: State): void {
    this.#set('state', STATES.indexOf(state))
  }
}
