/**
 * Imported into a keeper (NODE_OPTIONS=--import), it makes pidfd_open(2) of the process that REFUSE_PIDFD
 * names fail with EMFILE, except for the first time, when a keeper copies that one's descriptors. Other
 * processes that inherit the variable are not affected.
 */
import { createRequire } from 'node:module'
import type Koffi from 'koffi'
import { type Call, wrapCalls } from './wrap-calls.ts'

const SYS_pidfd_open = 434
const EMFILE = 24
const refusedPid = Number(process.env.REFUSE_PIDFD)
const isKeeper = /\/keeper\/main\.[jt]s$/.test(process.argv[1] ?? '')

if (isKeeper) {
  // The keeper's own koffi, as its `loadKoffi` finds it: the keeper may be of another tree.
  const native = `@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`
  const koffi = createRequire(String(process.argv[1]))(native) as typeof Koffi
  let isFirst = true
  const refusing =
    (call: Call): Call =>
    (...values) => {
      if (values[0] !== SYS_pidfd_open || values[1] !== refusedPid) return call(...values)
      if (isFirst) {
        isFirst = false
        return call(...values)
      }
      koffi.errno(EMFILE)
      return -1
    }
  wrapCalls(koffi, (name, call) => (name === 'syscall' ? refusing(call) : call))
}
