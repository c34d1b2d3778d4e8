/**
 * A supervisor passes its signals on to the process that it runs at the moment: QEMU, or a command before or
 * after it. It ends after that process.
 */
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
