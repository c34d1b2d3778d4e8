/** Tests that the next run removes what a killed run of the tests has left behind. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { processStartTime } from '../../src/linux/process.ts'
import { makeRunFolder, removeKilledRuns, removeRunnerName } from './run-folder.ts'

/** A runner whose test has started a process that goes on by itself; prints both. */
const RUNNER = `
import { spawn } from 'node:child_process'
import { MARKER } from '${import.meta.dirname}/leftovers.ts'
import { makeRunFolder } from '${import.meta.dirname}/run-folder.ts'
const folder = makeRunFolder(process.argv[1])
const env = { ...process.env, [MARKER]: folder + '/u1' }
const { pid } = spawn('sleep', ['600'], { detached: true, stdio: 'ignore', env })
console.log(JSON.stringify({ folder, pid }))
setInterval(() => {}, 1000)`

test('what a killed run left is ended by the next one, and a run that goes on is left alone', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'killed-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const own = makeRunFolder(root)
  const runner = spawn(process.execPath, ['--input-type=module', '--eval', RUNNER, root], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => runner.kill('SIGKILL'))
  const [text] = await once(runner.stdout, 'data')
  const { folder, pid } = JSON.parse(String(text)) as { folder: string; pid: number }
  t.after(() => processStartTime(pid) !== undefined && process.kill(pid, 'SIGKILL'))

  assert.deepEqual(await removeKilledRuns(root), [])
  assert.notEqual(processStartTime(pid), undefined)

  const ended = once(runner, 'exit')
  runner.kill('SIGKILL')
  await ended
  assert.match((await removeKilledRuns(root)).join(), new RegExp(`^process ${pid}: sleep 600$`))
  assert.deepEqual([existsSync(folder), existsSync(own)], [false, true])
  while (processStartTime(pid) !== undefined) await new Promise((resolve) => setTimeout(resolve, 20))

  removeRunnerName(own)
  assert.deepEqual(await removeKilledRuns(root), [])
  assert.ok(existsSync(own), 'a folder without a runner is kept for the operator')
})
