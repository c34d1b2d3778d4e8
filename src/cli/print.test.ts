/** Tests of what may reach a terminal. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { escapeControls } from './print.ts'

test('no control character of a name or an answer drives the terminal', () => {
  assert.equal(escapeControls('a\u001b[2Jb\u009bc\rd\u007f'), 'a\\u001b[2Jb\\u009bc\\u000dd\\u007f')
  assert.equal(escapeControls('one\n\ttwo é 中'), 'one\n\ttwo é 中')
})

test('what was escaped in JSON is read as it was', () => {
  const value = { name: 'a\u001b\u009b\u007f' }
  assert.deepEqual(JSON.parse(escapeControls(JSON.stringify(value))), value)
})

test('JSON has one shape in all commands: a value on one line, printed by printJson', () => {
  const commands = join(import.meta.dirname, '../commands')
  const paths = globSync('*.ts', { cwd: commands })
  assert.ok(paths.length > 20)
  for (const path of paths)
    assert.doesNotMatch(readFileSync(join(commands, path), 'utf8'), /\bprint\(\s*JSON\.stringify/, path)
})
