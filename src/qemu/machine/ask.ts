/** A question over QMP whose answer has the shape that QEMU's own schema gives it. */
import * as v from 'valibot'
import { QemuError } from '../../values/errors.ts'
import type { QmpClient } from '../qmp-client.ts'

/** Errors (QemuError): QEMU does not answer, refuses, or answers something else than `schema` says. */
export type Ask = <T>(schema: v.GenericSchema<unknown, T>, command: string, parameters?: object) => Promise<T>

export const askOf =
  (qmp: QmpClient): Ask =>
  async (schema, command, parameters = {}) => {
    const parsed = v.safeParse(schema, await qmp.execute(command, parameters))
    if (!parsed.success) throw new QemuError(`${command}: an answer that QEMU's schema does not have`)
    return parsed.output
  }
