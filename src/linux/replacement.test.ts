import assert from 'node:assert/strict'
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { writeDurably } from '../host/write-durably.ts'
import { replaceBy, writeNewFile } from './replacement.ts'

function scratch(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'replacement-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

test('a new file is made over nothing: no file, and no symlink to a missing or another one', (t) => {
  const folder = scratch(t)
  const at = (name: string) => join(folder, name)
  writeFileSync(at('file'), 'former')
  symlinkSync(at('missing'), at('dangling'))
  symlinkSync(at('file'), at('link'))
  for (const name of ['file', 'dangling', 'link'])
    assert.throws(() => writeNewFile(at(name), 'new', 0o644), { code: 'EEXIST' })
  assert.deepEqual([readFileSync(at('file'), 'utf8'), existsSync(at('missing'))], ['former', false])
})

test('a new file has the whole text and its mode, whatever the umask', (t) => {
  const path = join(scratch(t), 'new')
  const umask = process.umask(0o077)
  t.after(() => process.umask(umask))
  writeNewFile(path, 'text', 0o644, true)
  assert.deepEqual([readFileSync(path, 'utf8'), lstatSync(path).mode & 0o7777], ['text', 0o644])
})

test('what cannot be made or renamed leaves the former one, and nothing beside it', (t) => {
  const folder = scratch(t)
  const [path, temporary] = [join(folder, 'record'), join(folder, 'record.new')]
  writeFileSync(path, 'former')
  const cutShort = () => {
    writeNewFile(temporary, 'ha', 0o600)
    throw new Error('no room')
  }
  assert.throws(() => replaceBy(path, temporary, cutShort), { message: 'no room' })
  assert.throws(() => replaceBy(path, temporary, () => {}), { code: 'ENOENT' })
  assert.deepEqual([readdirSync(folder), readFileSync(path, 'utf8')], [['record'], 'former'])
})

test('what a killed writer left beside a file of the machine is removed, and no symlink there followed', (t) => {
  const folder = scratch(t)
  const [path, left] = [join(folder, 'unit'), join(folder, '.unit.guestmemfs')]
  symlinkSync(join(folder, 'target'), left)
  writeDurably(path, 'first', 0o644)
  writeFileSync(left, 'a longer text that was cut short', { mode: 0o600 })
  writeDurably(path, 'second', 0o755)
  assert.deepEqual([readFileSync(path, 'utf8'), lstatSync(path).mode & 0o7777], ['second', 0o755])
  assert.deepEqual(readdirSync(folder), ['unit'])
})
