/** Tests that the manual has every xattr, and every field of the values. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { blocks, fixture, n, nameAt, ok, ROOT } from '../../src/fs/testing/fixture.ts'
import { VIRTUAL_NAMES } from '../../src/fs/xattrs/virtual-xattrs.ts'
import type { Ino } from '../../src/values/ids.ts'
import * as spelled from '../../src/values/xattr-names.ts'
import { CONTROLS, OF_A_FILE, OF_THE_POOL, type XattrText } from './xattr-table.ts'

const ALL = [...OF_THE_POOL, ...OF_A_FILE, ...CONTROLS]

test('every name is in the table, once', () => {
  const server = join(import.meta.dirname, '../../src/server')
  const added = globSync('**/*.ts', { cwd: server }).flatMap((path) =>
    [...readFileSync(join(server, path), 'utf8').matchAll(/addRootXattr\('(\w+)'/g)].map(([, name]) => name),
  )
  assert.deepEqual(added, ['server'])
  const virtual = [...VIRTUAL_NAMES.root, ...VIRTUAL_NAMES.file, ...added]
  const names = Object.entries(spelled).flatMap(([constant, value]) =>
    constant.endsWith('_XATTR') ? [String(value)] : [],
  )
  const wanted = new Set([...virtual.map((name) => spelled.VIRTUAL_PREFIX + name), ...names])
  assert.deepEqual(ALL.map(({ name }) => name).sort(), [...wanted].sort())
})

test('every field of a value that is JSON is in its text', () => {
  const nodes = [{ node: 0, start: 0, lengthBytes: blocks(16) }]
  const place = { start: 0, lengthBytes: blocks(16), nodes }
  const { fs, rq, file } = fixture({ frames: { first: 0, blocks: 4 }, place })
  const ram = file('ram', blocks(1))
  ok(fs.setXattr(rq(), ram, n('trusted.guestmemfs.vm'), Buffer.from('{"name":"guest"}'), 0))
  file('orphan', blocks(1))
  ok(fs.unlink(rq(), nameAt(ROOT, 'orphan')))
  const seen = [...fieldsOf(OF_THE_POOL, ROOT), ...fieldsOf(OF_A_FILE, ram)]
  for (const name of ['pool', 'geometry', 'health', 'format', 'orphans', 'ram', 'vms', 'map', 'extents'])
    assert.ok(seen.includes(`guestmemfs.${name}`), name)

  /** Names of those that are JSON objects with fields, or lists of such. */
  function fieldsOf(texts: readonly XattrText[], ino: Ino): string[] {
    return texts.flatMap(({ name, value }) => {
      const found = fs.getXattr(ino, n(name))
      const text = found instanceof Uint8Array ? Buffer.from(found).toString() : ''
      if (!/^[[{]/.test(text)) return []
      const [first] = [JSON.parse(text) as object].flat()
      for (const field of Object.keys(first ?? {}))
        assert.ok(value.includes(`*${field}*`), `${name}: ${field}`)
      return first === undefined ? [] : [name]
    })
  }
})
