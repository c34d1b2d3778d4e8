/** What commands and starting QEMUs send to the process that watches all guests: a line of JSON each way. */
import type { Socket } from 'node:net'
import * as v from 'valibot'
import { ProcessSchema } from '../../run/process-identity.ts'

/**
 * `start`: `qemu` is about to be the VM's QEMU; `hasAfter`: it has commands after its end; `claimed`: RAM
 * files in pools of /dev/mem. It is also the argument of a process that is started for it. `update`: a
 * command may start a successor for as long as the connection is there. `settle`: to be answered when what is
 * due for all QEMUs that have ended is done.
 */
export const RequestSchema = v.variant('do', [
  v.object({
    do: v.literal('start'),
    name: v.string(),
    qemu: ProcessSchema,
    hasAfter: v.boolean(),
    /** Milliseconds since the epoch. */
    saidAtMs: v.number(),
    /**
     * From power-on, else null: that process' first connection to the QMP that is to be, by its descriptor
     * and the inode of its socket.
     */
    first: v.nullable(v.object({ fd: v.number(), inode: v.number() })),
    claimed: v.array(v.object({ id: v.string(), path: v.string() })),
  }),
  v.object({ do: v.literal('update'), name: v.string() }),
  v.object({ do: v.literal('settle') }),
])
export type Request = v.InferOutput<typeof RequestSchema>

export const AnswerSchema = v.object({ refused: v.nullable(v.string()) })
export type Answer = v.InferOutput<typeof AnswerSchema>

/** More than the RAM files of a definition, which is an xattr, can take. */
const MOST_CHARACTERS = 256 * 1024

/** `take` gets each whole line. Ends the connection where a line is too long: no peer of ours. */
export function readLines(socket: Socket, take: (line: string) => void): void {
  let rest = ''
  socket.setEncoding('utf8')
  socket.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > MOST_CHARACTERS) socket.destroy()
    else for (const line of lines) take(line)
  })
}
