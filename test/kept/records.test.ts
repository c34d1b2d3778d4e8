/**
 * Records of former trees: today's program reads each of them completely, and reads or refuses changed ones
 * by the rules of each reader.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readManifest } from '../../src/keeper/luo/manifest.ts'
import { close } from '../../src/linux/descriptors.ts'
import { memfdCreate, resize, writeAt } from '../../src/linux/memory.ts'
import { parseUpdateRecord } from '../../src/liveupdate/kernel/update-record.ts'
import {
  isSuccess,
  parseReport,
  reportTable,
  reportTitle,
} from '../../src/liveupdate/report/update-report.ts'
import { parseDefinition, ramFileOf } from '../../src/qemu/vm-definition.ts'
import { parsePoolRecord } from '../../src/run/pool-record.ts'
import { parseRuntime } from '../../src/run/vm-runtime.ts'
import { CorruptBytesError } from '../../src/values/errors.ts'
import { COMMITS, keptBytes, keptText } from './kept.ts'

interface Kind {
  /** undefined: the reader refuses it. */
  readonly read: (text: string) => unknown
  /** Fields that may be missing. */
  readonly optional?: readonly string[]
  /** Fields that former versions wrote, and this one leaves out. */
  readonly unread?: readonly string[]
  /** Objects whose keys are names of things, not fields. */
  readonly tables?: readonly string[]
}

const bytes = (text: string): Buffer => Buffer.from(text)

/** `parseDefinition` throws for what is no definition; its caller makes the message. */
function definition(text: string): unknown {
  try {
    return parseDefinition(bytes(text))
  } catch (error) {
    assert.equal((error as Error).name, 'ValiError')
    return undefined
  }
}

function manifest(text: string): unknown {
  const fd = memfdCreate('kept manifest', { sealable: false })
  resize(fd, Buffer.byteLength(text))
  writeAt(fd, 0, bytes(text))
  try {
    return readManifest(fd)
  } catch (error) {
    assert.ok(error instanceof CorruptBytesError)
    return undefined
  } finally {
    close(fd)
  }
}

const KINDS: Readonly<Record<string, Kind>> = {
  'pool.json': { read: parsePoolRecord },
  'pool-parked.json': { read: parsePoolRecord },
  'runtime.json': { read: parseRuntime, optional: ['supervisor'], unread: ['starts'] },
  'vm-running.json': { read: definition, tables: ['environment'] },
  'vm-saved.json': { read: definition, tables: ['environment'] },
  'update.json': {
    read: (text) => parseUpdateRecord(bytes(text)),
    optional: ['frozenAtMs'],
    tables: ['savedAtMs'],
  },
  'manifest.json': { read: manifest },
  'report.json': { read: parseReport },
}

type Fields = Record<string, unknown>
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * For each object with fields in `value`: a copy of `value` with that object changed by `change`, and its
 * path.
 */
function* variants(
  value: unknown,
  tables: readonly string[],
  change: (fields: Fields) => Iterable<[string, Fields]>,
): Generator<[string, unknown]> {
  if (Array.isArray(value))
    for (const [index, item] of value.entries())
      for (const [where, changed] of variants(item, tables, change))
        yield [`${index}.${where}`, value.with(index, changed)]
  if (!isFields(value)) return
  yield* change(value)
  for (const [key, field] of Object.entries(value))
    if (!tables.includes(key))
      for (const [where, changed] of variants(field, tables, change))
        yield [`${key}.${where}`, { ...value, [key]: changed }]
}

function* withoutOne(fields: Fields): Generator<[string, Fields]> {
  for (const key of Object.keys(fields)) {
    const { [key]: _, ...rest } = fields
    yield [key, rest]
  }
}

function* withAnother(fields: Fields): Generator<[string, Fields]> {
  yield ['unknown', { ...fields, unknown: { of: 'a later version' } }]
}

/** Sets one field at a time to a list in a list, which no field of any record is. */
function* withOneOfAnotherType(fields: Fields): Generator<[string, Fields]> {
  for (const key of Object.keys(fields)) yield [key, { ...fields, [key]: [[]] }]
}

for (const commit of COMMITS)
  for (const [name, kind] of Object.entries(KINDS)) {
    const text = keptText(commit, name)
    const value: unknown = JSON.parse(text)
    const known = (of: unknown): unknown => {
      const unread = (key: string): boolean => kind.unread?.includes(key) ?? false
      return isFields(of) ? Object.fromEntries(Object.entries(of).filter(([key]) => !unread(key))) : of
    }
    const read = (changed: unknown): unknown => kind.read(JSON.stringify(changed))

    test(`${commit}, ${name}: read, and no field of it is unknown`, () => {
      assert.deepEqual(kind.read(text), known(value))
    })

    test(`${commit}, ${name}: a field that is missing, or is something else, is refused`, () => {
      for (const [where, changed] of variants(known(value), kind.tables ?? [], withoutOne))
        if (!kind.optional?.includes(where)) assert.equal(read(changed), undefined, `without ${where}`)
        else assert.deepEqual(read(changed), changed)
      for (const [where, changed] of variants(known(value), kind.tables ?? [], withOneOfAnotherType))
        assert.equal(read(changed), undefined, `${where} of another type`)
    })

    test(`${commit}, ${name}: a field of a later version is left out`, () => {
      const all = [...variants(value, kind.tables ?? [], withAnother)]
      assert.ok(all.length > 0)
      for (const [where, changed] of all) assert.deepEqual(read(changed), known(value), `with ${where}`)
    })

    if (isFields(value) && 'format' in value)
      test(`${commit}, ${name}: another format is refused`, () => {
        assert.equal(read({ ...value, format: 2 }), undefined)
      })
  }

for (const commit of COMMITS) {
  test(`${commit}: the record of a saved guest has all that a start needs`, () => {
    const saved = parseDefinition(keptBytes(commit, 'vm-saved.json'))
    const running = parseDefinition(keptBytes(commit, 'vm-running.json'))
    assert.deepEqual({ ...saved, saved: null }, running)
    assert.equal(saved.saved?.path, saved.statePath)
    assert.equal(ramFileOf(saved), `${saved.mountPoint}/guest-ram`)
    const { savedAtMs } = parseUpdateRecord(keptBytes(commit, 'update.json')) ?? {}
    assert.deepEqual(Object.keys(savedAtMs ?? {}), [saved.name])
  })

  test(`${commit}: today’s program prints its report as it did`, () => {
    const report = parseReport(keptText(commit, 'report.json'))
    assert.ok(report !== undefined)
    const { header, rows } = reportTable(report)
    const told = keptText(commit, 'report.txt').trim().split('\n')
    assert.deepEqual(
      [header, ...rows],
      told.map((line) => line.trim().split(/ {2,}/)),
    )
    assert.deepEqual([reportTitle(report), isSuccess(report)], [undefined, true])
  })
}
