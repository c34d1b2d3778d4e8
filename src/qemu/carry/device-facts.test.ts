import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QemuError, QemuRefusal } from '../../values/errors.ts'
import type { Ask } from '../machine/ask.ts'
import { readDevice } from './device-facts.ts'

const LISTED = [
  { name: 'drive', type: 'str' },
  { name: 'serial', type: 'str' },
]

/** A QEMU with a disk whose drive it answers `answer` about. */
const askWith =
  (answer: () => unknown): Ask =>
  async (_schema, command, parameters = {}) => {
    const { property = '' } = parameters as { property?: string }
    const answers = { parent_bus: '/machine/bus.0', serial: 'one', drive: undefined }
    if (command === 'device-list-properties') return LISTED as never
    return (property === 'drive' ? answer() : answers[property as keyof typeof answers]) as never
  }

const fail = (error: Error) => () => {
  throw error
}

test('a property that QEMU does not let be read is none of a device; one that it did not answer about is no device without it', async () => {
  const refused = await readDevice(askWith(fail(new QemuRefusal('not readable'))), 'disk0', 'scsi-hd')
  assert.deepEqual(refused.properties, { serial: 'one' })
  const late = readDevice(askWith(fail(new QemuError('no answer within 10000 ms'))), 'disk0', 'scsi-hd')
  await assert.rejects(late, /no answer/)
})
