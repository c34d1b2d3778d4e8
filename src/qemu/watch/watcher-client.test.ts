/** Tests of how guests get their watcher, with a /run of their own, and processes in the place of QEMUs. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const NAMES = ['one', 'other', 'third']
/** Of all waits below together. */
const TIMEOUT_MS = 30_000

/** In the mount namespace of the test: the number of guests whose records go as their processes end. */
const program = (wrapper: string): string => `
  import { spawn } from 'node:child_process'
  import { existsSync } from 'node:fs'
  import { setTimeout as sleep } from 'node:timers/promises'
  import { WATCHER } from '${join(import.meta.dirname, '../../run/paths.ts')}'
  import { identify } from '${join(import.meta.dirname, '../../run/process-identity.ts')}'
  import { makeVmDirectory, vmPaths, writeRuntime } from '${join(import.meta.dirname, '../../run/vm-runtime.ts')}'
  import { settleEnds, watchRunning } from '${join(import.meta.dirname, 'watcher-client.ts')}'
  const until = async (holds) => {
    for (let look = 0; look < 400 && !holds(); look++) await sleep(20)
  }
  const names = ${JSON.stringify(NAMES)}
  const qemus = names.map((name) => {
    const qemu = spawn('sleep', ['60'], { stdio: 'ignore' })
    makeVmDirectory(name)
    writeRuntime(name, { ramFile: '/nowhere/' + name, qemu: identify(qemu.pid), end: null })
    return qemu
  })
  process.execPath = ${JSON.stringify(wrapper)}
  await Promise.all(names.map((name) => watchRunning({ name })))
  await until(() => existsSync(WATCHER))
  await settleEnds() // it has looked for all by its answer
  for (const qemu of qemus) qemu.kill('SIGKILL')
  const isGone = (name) => !existsSync(vmPaths(name).record)
  await until(() => names.every(isGone))
  console.log(names.filter(isGone).length)
`

test('guests that run again at once get one watcher, which sees the end of each', {
  skip: process.getuid?.() === 0 ? false : 'needs root',
}, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'watcher-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const [wrapper, starts] = [join(folder, 'node'), join(folder, 'starts')]
  const start = `#!/bin/sh\necho started >>'${starts}'\nexec '${process.execPath}' "$@"\n`
  writeFileSync(wrapper, start, { mode: 0o755 })
  // A file: a program of `-e` is among the options of Node that the watcher is started with as well.
  const file = join(folder, 'program.mjs')
  writeFileSync(file, program(wrapper))
  const script = 'mkdir -p /run/guestmemfs; mount -t tmpfs tmpfs /run/guestmemfs; exec "$@"'
  const words = ['--mount', 'sh', '-ec', script, 'sh', process.execPath, file]
  const said = execFileSync('unshare', words, { encoding: 'utf8', timeout: TIMEOUT_MS })
  assert.equal(Number(said), NAMES.length)
  assert.equal(readFileSync(starts, 'utf8'), 'started\n')
})
