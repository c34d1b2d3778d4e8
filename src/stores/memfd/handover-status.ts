/**
 * Owns the words of the descriptor table that say how far a hand-over to the next kernel is. The server begins a step and the keeper
 * carries it out; both see the same words, and each outlives the other's death. One writes at a time: a step that is `busy`
 * is the keeper's.
 */

import type { Errno } from '../../values/errno.ts'
import { errnoFromCode } from '../../values/errno.ts'
import type { MemoryId } from '../../values/ids.ts'
import { HAND_OVER_STEPS, type HandOverStatus, type HandOverStep } from '../store.ts'

const WORD = { step: 0, state: 1, memories: 2, preserved: 3, errno: 4, memory: 5 } as const
const STEPS = ['none', ...HAND_OVER_STEPS] as const
const STATES = ['idle', 'busy', 'done', 'failed', 'undoing'] as const
type State = (typeof STATES)[number]

export class HandOverWords {
  readonly #words: Int32Array

  /** `words`: those of the descriptor table. */
  constructor(words: Int32Array) {
    this.#words = words
  }

  get status(): HandOverStatus {
    const errno = this.#get('errno')
    const memory = this.#get('memory')
    return {
      step: STEPS[this.#get('step')] ?? 'none',
      state: this.state,
      memories: this.#get('memories'),
      preserved: this.#get('preserved'),
      failure:
        errno === 0
          ? undefined
          : { errno: errnoFromCode(errno), memory: memory === 0 ? undefined : (memory as MemoryId) },
    }
  }

  get state(): State {
    return STATES[this.#get('state')] ?? 'idle'
  }

  /** `memories`: how many this step adds. The state is stored last: whoever sees it sees the rest. */
  begin(step: HandOverStep, memories: number): void {
    this.#set('memories', this.#get('memories') + memories)
    this.#set('step', STEPS.indexOf(step))
    this.#setState('busy')
  }

  preservedOne(): void {
    this.#set('preserved', this.#get('preserved') + 1)
  }

  /** Unless it is being taken back meanwhile. */
  done(): void {
    this.#leaveBusy('done')
  }

  failed(errno: Errno, memory: MemoryId | undefined): void {
    this.#set('errno', errno.code)
    this.#set('memory', memory ?? 0)
    this.#leaveBusy('failed')
  }

  undoing(): void {
    this.#setState('undoing')
  }

  undone(): void {
    for (const word of ['step', 'memories', 'preserved', 'errno', 'memory'] as const) this.#set(word, 0)
    this.#setState('idle')
  }

  /** What another table says, for one that takes its place. */
  copyFrom(other: HandOverWords): void {
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
