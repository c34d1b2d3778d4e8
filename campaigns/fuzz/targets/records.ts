/**
 * Records below /run, and those in xattrs: a reader returns the record, or that it is none. The first byte of
 * an input chooses the reader.
 */
import { ValiError } from 'valibot'
import { parseUpdateRecord } from '../../../src/liveupdate/kernel/update-record.ts'
import {
  isSuccess,
  parseReport,
  reportTable,
  reportTitle,
} from '../../../src/liveupdate/report/update-report.ts'
import { parseMountRequest, readAnswer } from '../../../src/pool/unit-messages.ts'
import { parseDefinition, ramBytesOf, ramFileOf } from '../../../src/qemu/vm-definition.ts'
import { parsePoolRecord } from '../../../src/run/pool-record.ts'
import { parseRuntime } from '../../../src/run/vm-runtime.ts'
import { COMMITS, keptText } from '../../../test/kept/kept.ts'
import { orRefused, type Target } from '../target.ts'

const READERS: readonly ((bytes: Buffer) => unknown)[] = [
  (bytes) => parsePoolRecord(bytes.toString('utf8')),
  (bytes) => parseRuntime(bytes.toString('utf8')),
  (bytes) => parseUpdateRecord(bytes),
  readVm,
  readReport,
  (bytes) => parseMountRequest(bytes.toString('utf8')),
  (bytes) => readAnswer(bytes.toString('utf8')),
]
const KEPT = ['pool.json', 'runtime.json', 'update.json', 'vm-saved.json', 'report.json', 'pool-parked.json']
const REQUEST = '{"pool":"guestmemfs","mountPoint":"/mnt","options":["size=1G"]}'
const ANSWERS = [
  '{"ok":true,"mounted":{"pool":"p","mountPoint":"/mnt","sizeBytes":1,"how":"new"}}',
  '{"ok":false,"reason":"no"}',
]

export const records: Target = {
  isJson: false,
  dictionary: [
    '"format":1',
    '"kind":',
    '"memfd"',
    'null',
    '"pid":',
    '"startTime":',
    '"saved":',
    '{}',
    '[]',
    '1e400',
  ],
  seeds: () => {
    const kept = COMMITS.flatMap((commit) => KEPT.map((name) => keptText(commit, name)))
    const texts = [...kept, REQUEST, ...ANSWERS]
    return READERS.flatMap((_, reader) =>
      texts.map((text) => Buffer.from(`${String.fromCharCode(reader)}${text}`)),
    )
  },
  run(input) {
    READERS[(input[0] ?? 0) % READERS.length]?.(Buffer.from(input.subarray(1)))
  },
}

function readVm(bytes: Buffer): void {
  const definition = orRefused(() => parseDefinition(bytes), ValiError, SyntaxError)
  if (definition === undefined) return
  ramFileOf(definition)
  ramBytesOf(definition)
}

function readReport(bytes: Buffer): void {
  const report = parseReport(bytes.toString('utf8'))
  if (report === undefined) return
  reportTable(report)
  reportTitle(report)
  isSuccess(report)
}
