/** The messages between the fuzzing thread and the one that starts it. */

export interface WorkerOrders {
  readonly target: string
  readonly seed: number
  readonly seconds: number
  /** Inputs of former runs, beside the target's own. */
  readonly corpus: readonly Uint8Array[]
  /**
   * Two words, the number of inputs begun and the length of the present one, then its bytes: the starter
   * reads them when the thread hangs or is out of memory.
   */
  readonly present: SharedArrayBuffer
}

export const PRESENT_HEADER_BYTES = 8

export type FromWorker =
  | { readonly kind: 'kept'; readonly input: Uint8Array }
  | { readonly kind: 'finding'; readonly input: Uint8Array; readonly why: string }
  | { readonly kind: 'over'; readonly inputs: number; readonly kept: number; readonly characters: number }
