import assert from 'node:assert/strict'
import { cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { OwnFiles } from './own-files.ts'

test('a file that is replaced, written, added or removed, and the folder that is away, are noticed', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'own-files-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const at = (name: string) => join(folder, name)
  mkdirSync(at('server'))
  writeFileSync(at('server/main.ts'), 'one')
  const change = (what: string, make: () => void): void => {
    const own = new OwnFiles(folder)
    assert.equal(own.isReplaced, false, `before: ${what}`)
    make()
    assert.equal(own.isReplaced, true, what)
  }
  change('the same bytes in another file', () => {
    cpSync(at('server/main.ts'), at('new'), { preserveTimestamps: true })
    renameSync(at('new'), at('server/main.ts'))
  })
  change('written', () => writeFileSync(at('server/main.ts'), 'longer'))
  change('added', () => writeFileSync(at('more.ts'), ''))
  change('removed', () => rmSync(at('more.ts')))
  change('away', () => renameSync(folder, `${folder}-away`))
  renameSync(`${folder}-away`, folder)
  const own = new OwnFiles(folder)
  writeFileSync(at('some.test.ts'), '')
  assert.equal(own.isReplaced, false, 'nothing is started from a test')
})
