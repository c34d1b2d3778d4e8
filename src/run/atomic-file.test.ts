/** Tests of small files that are replaced where there are dangling symlinks of their names. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isInPlace, replaceFile, replaceFileWhenFull, replaceOutput } from './atomic-file.ts'

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

test('a file that the operator named is replaced, has the mode of the former one, and leaves nothing beside it', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atomic-file-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'page.html')
  const modeNow = () => lstatSync(path).mode & 0o7777
  replaceOutput(path, 'first', 0o600)
  assert.equal(modeNow(), 0o600)
  chmodSync(path, 0o644)
  replaceOutput(path, 'second', 0o600)
  assert.deepEqual([readFileSync(path, 'utf8'), modeNow()], ['second', 0o644])
  assert.deepEqual(readdirSync(folder), ['page.html'])
})

test('of what the operator named, only a regular file is replaced; each refusal is one line', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'atomic-file-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const link = join(folder, 'link')
  const fifo = join(folder, 'fifo')
  symlinkSync(join(folder, 'target'), link)
  execFileSync('mkfifo', [fifo])
  for (const path of [folder, link, fifo])
    assert.throws(() => replaceOutput(path, 'text', 0o600), {
      name: 'UsageError',
      message: `${path} is no regular file: name another one`,
    })
  const missing = join(folder, 'none/page.html')
  assert.throws(() => replaceOutput(missing, 'text', 0o600), {
    name: 'UsageError',
    message: `${missing} cannot be written (ENOENT)`,
  })
  assert.deepEqual(readdirSync(folder).sort(), ['fifo', 'link'])
})
