/**
 * Imported into a server (NODE_OPTIONS=--import), it kills the process with SIGKILL just before or just after
 * one of its system calls, chosen at random: between a log record and the reply, between a reply and the
 * counts that follow it, between the creation of a memfd and its transfer to the keeper. Other processes that
 * inherit the variable are not affected.
 */
import koffi from 'koffi'
import { type Call, isServer, wrapCalls } from './wrap-calls.ts'

const DEADLY = new Set(['write', 'ioctl', 'sendmsg', 'memfd_create', 'ftruncate', 'pwrite', 'fcntl', 'close'])
/** Each server does some work before it dies. */
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
