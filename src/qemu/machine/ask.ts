/** A QMP command whose answer is checked against QEMU's schema. */
import * as v from 'valibot'
import { QemuError, QemuRefusal } from '../../values/errors.ts'
import type { QmpCommands } from '../qmp-commands.ts'

/** Errors (QemuError): QEMU does not answer, refuses, or its answer does not fit `schema`. */
export type Ask = <T>(schema: v.GenericSchema<unknown, T>, command: string, parameters?: object) => Promise<T>

export const askOf = (qmp: QmpCommands): Ask =>
  askBy((command, parameters) => qmp.execute(command, parameters))

/**
 * For several readers of one machine: each command is sent to QEMU once, and all readers get the same answer.
 * A guest may be stopped meanwhile.
 */
export function askOnce(qmp: QmpCommands): Ask {
  const answers = new Map<string, Promise<unknown>>()
  return askBy((command, parameters) => {
    const question = JSON.stringify([command, parameters])
    const answer = answers.get(question) ?? qmp.execute(command, parameters)
    answers.set(question, answer)
    return answer
  })
}

const askBy =
  (execute: (command: string, parameters: object) => Promise<unknown>): Ask =>
  async (schema, command, parameters = {}) => {
    const parsed = v.safeParse(schema, await execute(command, parameters))
    if (!parsed.success) throw new QemuError(`${command}: an answer that QEMU's schema does not have`)
    return parsed.output
  }

/**
 * What QEMU answers, or `otherwise` where it refuses: a version or a type may not have what is asked for.
 * Errors (QemuError): QEMU does not answer, so that nothing is known.
 */
export const unlessRefused = <T, U>(answer: Promise<T>, otherwise: U): Promise<T | U> =>
  answer.catch((error: unknown) => {
    if (error instanceof QemuRefusal) return otherwise
    throw error
  })

const QomListSchema = v.array(v.object({ name: v.string(), type: v.string() }))

/** The properties of an object, its children among them. Errors: as of `Ask`. */
export const listProperties = (ask: Ask, path: string): Promise<v.InferOutput<typeof QomListSchema>> =>
  ask(QomListSchema, 'qom-list', { path })

/** The children of an object by name, with the type of each. Errors: as of `Ask`. */
export async function readChildren(ask: Ask, path: string): Promise<Map<string, string>> {
  const listed = await listProperties(ask, path)
  return new Map(
    listed.flatMap(({ name, type }) => {
      const child = /^child<(.*)>$/.exec(type)?.[1]
      return child === undefined ? [] : [[name, child]]
    }),
  )
}
