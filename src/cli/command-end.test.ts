/** Tests of how commands end when no process reads their output, or when there is no room for it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const CLI = fileURLToPath(new URL('../cli.ts', import.meta.url))
const SIGPIPE_STATUS = 128 + 13

/** `script` runs the command as "$@". Returns the script's status, and its standard error. */
function bash(script: string, words: readonly string[]): Promise<{ status: number; stderr: string }> {
  const command = ['--disable-warning=ExperimentalWarning', CLI, ...words]
  return new Promise((resolve) => {
    execFile('bash', ['-c', script, 'bash', process.execPath, ...command], (error, _, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stderr })
    })
  })
}

/** The reader of the pipe has ended before the command writes. */
const UNREAD = `{ sleep 0.2; exec "$@"; } | true; exit \${PIPESTATUS[0]}`
const ALL_UNREAD = `{ sleep 0.2; exec "$@"; } 2>&1 | true; exit \${PIPESTATUS[0]}`
const FULL = 'exec "$@" >/dev/full'
const ALL_FULL = 'exec "$@" >/dev/full 2>&1'

test('a command that only reads ends as SIGPIPE ends any, without a word', async () => {
  for (const words of [['help'], ['list'], ['vms'], ['help', 'mount'], ['reserve', '--help']]) {
    assert.deepEqual(await bash(UNREAD, words), { status: SIGPIPE_STATUS, stderr: '' }, words.join(' '))
    assert.deepEqual(await bash(ALL_UNREAD, words), { status: SIGPIPE_STATUS, stderr: '' }, words.join(' '))
  }
})

test('an error has its status though no process reads its message', async () => {
  assert.deepEqual(await bash(ALL_UNREAD, ['status', 'no-such-pool']), { status: 1, stderr: '' })
  assert.deepEqual(await bash(ALL_UNREAD, ['frobnicate']), { status: 1, stderr: '' })
})

test('a full disk is one line and status 1', async () => {
  for (const words of [['help'], ['list'], ['vms']]) {
    const { status, stderr } = await bash(FULL, words)
    assert.equal(status, 1, words.join(' '))
    assert.equal(stderr, 'guestmemfs: its output could not be written (ENOSPC)\n')
    assert.deepEqual(await bash(ALL_FULL, words), { status: 1, stderr: '' })
  }
})

test('a command that changes something does all of it, and keeps its status', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'end-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const files = () => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((f) => f.isFile())
  const words = (command: string) => [command, '--prefix', folder, ...(command === 'install' ? ['-y'] : [])]
  for (const script of [UNREAD, ALL_UNREAD]) {
    assert.deepEqual(await bash(script, words('install')), { status: 0, stderr: '' })
    assert.ok(files().length >= 7)
    assert.deepEqual(await bash(script, words('uninstall')), { status: 0, stderr: '' })
    assert.equal(files().length, 0)
  }
  assert.equal((await bash(FULL, words('install'))).status, 1, 'its words are lost, and a script is told')
  assert.ok(files().length >= 7)
})
