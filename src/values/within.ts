/** What `within` answers when the time is over. */
export const LATE: unique symbol = Symbol('late')

/**
 * What `promise` resolves or rejects with, or `LATE` after `timeoutMs`: then the work goes on, and the caller
 * decides about its result. No timer is left, which would keep the process alive.
 */
export async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | typeof LATE> {
  const late = Promise.withResolvers<typeof LATE>()
  const timer = setTimeout(() => late.resolve(LATE), Math.max(0, timeoutMs))
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
