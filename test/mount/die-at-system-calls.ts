/**
 * Owns a way to die: imported into a server (NODE_OPTIONS=--import), it ends the process with SIGKILL at the
 * boundary of one of its system calls, chosen at random, just before the call or just after it. That is where
 * a crash hurts: between a log record and the reply, between a reply and the counts that follow it, between a
 * memfd and the keeper that is to hold it. Other processes that inherit the variable are left alone.
 */
import koffi from 'koffi'

const isServer = /\/server\/main\.[jt]s$/.test(process.argv[1] ?? '')
const DEADLY = new Set(['write', 'ioctl', 'sendmsg', 'memfd_create', 'ftruncate', 'pwrite', 'fcntl', 'close'])
/** Not at once: each server shall do some work before it dies. */
const FIRST = 4
const LAST = 60

type Call = (...values: unknown[]) => unknown

if (isServer) {
  let left = FIRST + Math.floor(Math.random() * (LAST - FIRST))
  const isBefore = Math.random() < 0.5
  const deadly =
    (call: Call): Call =>
    (...values) => {
      left--
      if (left === 0 && isBefore) process.kill(process.pid, 'SIGKILL')
      const result = call(...values)
      if (left === 0) process.kill(process.pid, 'SIGKILL')
      return result
    }
  const load = koffi.load
  koffi.load = ((...words: Parameters<typeof load>) => {
    const library = load(...words)
    const func = library.func.bind(library) as (...words: unknown[]) => Call
    const wrapped = (...definition: unknown[]) => {
      const call = func(...definition)
      return DEADLY.has(String(definition[0])) ? deadly(call) : call
    }
    // The library's own `func` cannot be replaced, and nothing else of it is used.
    return { func: wrapped } as unknown as typeof library
  }) as typeof load
}
