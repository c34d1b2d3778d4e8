/**
 * What the command that updates a VM and the VM's supervisor say to one another about a successor: lines of
 * JSON over the supervisor's socket. The command alone decides whose the guest is, by the runtime record.
 * When the connection ends, the supervisor reads there which of the two QEMUs it must end.
 */
import type { Socket } from 'node:net'
import * as v from 'valibot'
import { ProcessSchema } from '../../run/process-identity.ts'

/**
 * `start`: a QEMU by this definition, which waits for the guest. `look`: the runtime record names the
 * successor as the guest's QEMU; it is not answered.
 */
export const RequestSchema = v.variant('do', [
  v.object({ do: v.literal('start'), definition: v.unknown() }),
  v.object({ do: v.literal('look') }),
])
export type Request = v.InferOutput<typeof RequestSchema>

export const AnswerSchema = v.variant('is', [
  /** `socket`: its QMP socket, by its name in the VM's directory. */
  v.object({ is: v.literal('started'), qemu: ProcessSchema, socket: v.string() }),
  /** The successor ended and the guest is not its own. */
  v.object({ is: v.literal('ended'), end: v.string() }),
  v.object({ is: v.literal('refused'), reason: v.string() }),
])
export type Answer = v.InferOutput<typeof AnswerSchema>

/** More than a definition, which is an xattr, can take. */
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
