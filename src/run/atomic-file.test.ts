/** Tests of small files that are replaced where there are dangling symlinks of their names. */
import assert from 'node:assert/strict'
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isInPlace, replaceFile, replaceFileWhenFull } from './atomic-file.ts'

for (const [how, replace] of Object.entries({ replaceFile, replaceFileWhenFull }))
  for (const place of ['record', 'record.new'])
    for (const target of ['missing', 'missing/missing'])
      test(`${how}: a symlink ${place} to ${target} is replaced, and not followed`, (t) => {
        const folder = mkdtempSync(join(tmpdir(), 'atomic-file-'))
        t.after(() => rmSync(folder, { recursive: true }))
        const path = join(folder, 'record')
        symlinkSync(join(folder, target), join(folder, place))
        for (const text of ['first', 'second']) {
          replace(path, text, 0o600)
          assert.equal(readFileSync(path, 'utf8'), text)
        }
        assert.equal(lstatSync(path).mode & 0o7777, 0o600)
        assert.ok(isInPlace(path))
        assert.equal(existsSync(join(folder, target)), false)
        assert.deepEqual(readdirSync(folder), ['record'])
      })
