/** A process that is about to become QEMU passes its signals on to the command before QEMU that it runs. */
const FORWARDED: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT']

/**
 * Each signal to this process goes to `send` and has no other effect, until the returned function is called.
 */
export function forwardSignals(send: (signal: NodeJS.Signals) => void): () => void {
  for (const signal of FORWARDED) process.on(signal, send)
  return () => {
    for (const signal of FORWARDED) process.off(signal, send)
  }
}
