import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { EAGAIN, ENOENT } from '../values/errno.ts'
import { close } from './descriptors.ts'
import { must } from './library.ts'
import { lockFile } from './lock-file.ts'

test('one process at a time holds a lock, and its end releases it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'guestmemfs-lock-'))
  const path = join(folder, 'lock')
  const first = must(lockFile(path), 'lock')
  assert.equal(lockFile(path), EAGAIN)
  close(first)
  const script = `import { lockFile } from ${JSON.stringify(join(import.meta.dirname, 'lock-file.ts'))}
    process.stdout.write(typeof lockFile(${JSON.stringify(path)})); setInterval(() => {}, 1000)`
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [output] = (await new Promise<Buffer[]>((done) =>
    holder.stdout.once('data', (...data) => done(data)),
  )) as [Buffer]
  assert.equal(output.toString(), 'number')
  assert.equal(lockFile(path), EAGAIN)
  holder.kill('SIGKILL')
  await new Promise((done) => holder.once('exit', done))
  close(must(lockFile(path), 'lock'))
  assert.equal(lockFile(join(folder, 'no', 'lock')), ENOENT)
  rmSync(folder, { recursive: true })
})
