import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { lockUpdates } from './update-lock.ts'

test('one process has the lock at a time', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'update-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const release = lockUpdates(folder)
  assert.throws(() => lockUpdates(folder), /a live update of the kernel is under way: wait for its end/)
  release()
  lockUpdates(folder)()
})

const options = { skip: process.getuid?.() === 0 ? false : 'needs root' }

for (const [state, how, why] of [
  ['read-only', 'ro', /cannot be written \(EROFS\): 'mount -o remount,rw \/run' first/],
  [
    'full',
    'size=4k,nr_inodes=1',
    /cannot be written \(ENOSPC\): \/run\/guestmemfs needs room for some small files/,
  ],
] as const)
  test(`a /run that is ${state} is said to be so`, options, () => {
    const module = join(import.meta.dirname, 'update-lock.ts')
    const program = `import('${module}').then((it) => it.lockUpdates()).catch((error) => console.log(error.message))`
    const script = `mkdir -p /run/guestmemfs; mount -t tmpfs -o ${how} tmpfs /run/guestmemfs; exec "$@"`
    const words = ['--mount', 'sh', '-ec', script, 'sh', process.execPath, ...process.execArgv, '-e', program]
    assert.match(execFileSync('unshare', words, { encoding: 'utf8' }), why)
  })
