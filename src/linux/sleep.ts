/** Owns waiting on a thread that has nothing else to do. */

/** Blocks this thread. Not for one that serves others. */
export const sleepBlocking = (ms: number): void =>
  void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
