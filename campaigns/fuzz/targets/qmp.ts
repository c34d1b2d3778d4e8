/**
 * Bytes from a QMP socket, in pieces: only `CorruptBytesError` refuses, and no bytes are kept without a
 * limit.
 */
import assert from 'node:assert/strict'
import { QmpReader } from '../../../src/qemu/qmp-messages.ts'
import { CorruptBytesError } from '../../../src/values/errors.ts'
import { orRefused, type Target } from '../target.ts'

const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": "Debian"}, "capabilities": ["oob"]}}'
const LINES = [
  GREETING,
  '{"return": {}, "id": 1}',
  '{"return": {"running": true, "status": "running"}, "id": 2}',
  '{"error": {"class": "GenericError", "desc": "no such thing"}, "id": 3}',
  '{"error": {"class": "CommandNotFound", "desc": "x"}}',
  '{"timestamp": {"seconds": 1700000000, "microseconds": 5}, "event": "STOP"}',
  '{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "MIGRATION", "data": {"status": "completed"}}',
]

export const qmp: Target = {
  isJson: true,
  dictionary: ['{"return":', '"id":', '"event":', '"QMP":', '"version":', '\n', '\r\n', '\ufeff', '1e999'],
  seeds: () => [...LINES, LINES.join('\r\n')].map((line) => Buffer.from(`${line}\n`)),
  run(input) {
    const text = Buffer.from(input).toString('utf8')
    const [whole, pieces] = [messages([text]), messages(text.match(/.{1,7}/gs) ?? [])]
    assert.deepEqual(pieces, whole, 'what came in pieces is read otherwise than what came at once')
  },
}

function messages(chunks: readonly string[]): unknown[] | 'refused' {
  const reader = new QmpReader()
  const read = (): unknown[] => chunks.flatMap((chunk) => reader.read(chunk))
  return orRefused(read, CorruptBytesError) ?? 'refused'
}
