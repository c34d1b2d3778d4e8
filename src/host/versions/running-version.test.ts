/** Tests of the version that a process runs. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runningVersion } from './running-version.ts'

test('of a program that is not installed it is that of its package; of another process there is none', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'version-'))
  mkdirSync(join(folder, 'src/server'), { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{"version":"9.8.7","type":"module"}')
  writeFileSync(join(folder, 'src/server/main.js'), 'setTimeout(() => {}, 60_000)')
  const child = spawn(process.execPath, [join(folder, 'src/server/main.js')], { stdio: 'ignore' })
  const other = spawn('sleep', ['600'], { stdio: 'ignore' })
  t.after(() => {
    for (const each of [child, other]) each.kill('SIGKILL')
    rmSync(folder, { recursive: true })
  })
  const pid = child.pid as number
  while (!readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('main.js'))
    await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal(runningVersion(pid), '9.8.7')
  assert.equal(runningVersion(other.pid as number), undefined)
  assert.equal(runningVersion(2 ** 30), undefined)
})
