/**
 * Imported into a server (NODE_OPTIONS=--import), it kills the process with SIGKILL when it has read a
 * FORGET, before it acts on it. The environment's DIE_AT_FORGET names a file: the server dies only if that
 * exists, and removes it first, so its successor does not.
 */
import { rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import type Koffi from 'koffi'
import { type Call, isServer, wrapCalls } from './wrap-calls.ts'

const switchPath = process.env.DIE_AT_FORGET
const [FORGET, BATCH_FORGET] = [2, 42]

function isSwitchedOn(path: string): boolean {
  try {
    rmSync(path)
    return true
  } catch {
    return false
  }
}

if (isServer && switchPath !== undefined) {
  // The server's own koffi, as its `loadKoffi` finds it: the server may be of another tree.
  const { arch } = process
  const native = `@koromix/koffi-linux-${arch}/linux_${arch}/koffi.node`
  const koffi = createRequire(String(process.argv[1]))(native) as typeof Koffi
  const deadly =
    (read: Call): Call =>
    (...values) => {
      const length = Number(read(...values))
      const bytes = values[1]
      if (length < 40 || !(bytes instanceof Uint8Array)) return length
      const opcode = Buffer.from(bytes.buffer, bytes.byteOffset, 8).readUInt32LE(4)
      if ((opcode === FORGET || opcode === BATCH_FORGET) && isSwitchedOn(switchPath))
        process.kill(process.pid, 'SIGKILL')
      return length
    }
  wrapCalls(koffi, (name, call) => (name === 'read' ? deadly(call) : call))
}
