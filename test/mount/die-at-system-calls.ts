/**
 * Owns a way to die: imported into a server (NODE_OPTIONS=--import), it ends the process with SIGKILL at the
 * boundary of one of its system calls, chosen at random, just before the call or just after it. That is where
 * a crash hurts: between a log record and the reply, between a reply and the counts that follow it, between a
 * memfd and the keeper that is to hold it. Other processes that inherit the variable are left alone.
 */
import koffi from 'koffi'
import { type Call, isServer, wrapCalls } from './wrap-calls.ts'

const DEADLY = new Set(['write', 'ioctl', 'sendmsg', 'memfd_create', 'ftruncate', 'pwrite', 'fcntl', 'close'])
/** Not at once: each server shall do some work before it dies. */
const FIRST = 4
const LAST = 60

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
  wrapCalls(koffi, (name, call) => (DEADLY.has(name) ? deadly(call) : call))
}
