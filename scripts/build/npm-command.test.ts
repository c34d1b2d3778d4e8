import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { NPM_COMMAND, npmCommandText } from './npm-command.ts'

/** What an older Node prints, and its exit statuses. */
function run(node: string): { said: string[]; statuses: number[] } {
  const said: string[] = []
  const statuses: number[] = []
  const fake = {
    versions: { node },
    stderr: { write: (text: string) => said.push(text) },
    exit: (status: number) => statuses.push(status),
  }
  runInNewContext(npmCommandText(24).replace(/^#!.*\n/, ''), { process: fake })
  return { said, statuses }
}

test('a Node that is too old gets one line and status 1', () => {
  for (const version of ['18.19.0', '20.20.2', '9.0.0', '23.11.0']) {
    const { said, statuses } = run(version)
    assert.deepEqual(statuses, [1], version)
    assert.match(
      said.join(''),
      new RegExp(`^guestmemfs: this is Node ${version}, and it needs 24 or newer: [^\n]*\n$`),
    )
  }
})

test('it is the command that npm links', () => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  const { bin, files } = JSON.parse(text) as { bin: Record<string, string>; files: string[] }
  assert.deepEqual(bin, { guestmemfs: `dist/${NPM_COMMAND}` })
  assert.ok(files.includes('dist'))
  assert.match(npmCommandText(24), /^#!\/usr\/bin\/env node\n/)
})
