/** Tests of `--save` and `--cancel` with real commands and a real process, in a folder that is no mount. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { isStopped } from '../../linux/process.ts'
import { baseAt } from '../../linux/testing/base-at.ts'
import { identify, type ProcessIdentity } from '../../run/process-identity.ts'
import { CorruptBytesError } from '../../values/errors.ts'
import { GuestStoppedError } from '../save.ts'
import { createStateFile } from '../saved-state.ts'
import { runCancel, runSave, type VmmGuest } from './vmm-commands.ts'

const TIMEOUT_MS = 20_000
const OURS = {
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  groups: process.getgroups?.() ?? [],
}
const SAVE = 'kill -STOP $GUESTMEMFS_PID && printf "state of $GUESTMEMFS_VM" >"$GUESTMEMFS_STATE"'
const CANCEL = 'kill -CONT $GUESTMEMFS_PID'

/** A guest whose program is a shell that sleeps. */
function guestOf(t: TestContext, save: string, cancel = CANCEL) {
  const folder = mkdtempSync(join(tmpdir(), 'vmm-'))
  const child: ChildProcess = spawn('sleep', ['600'], { stdio: 'ignore' })
  t.after(() => {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true })
  })
  const statePath = join(folder, 'web.vmstate')
  const base = baseAt(folder)
  createStateFile(statePath, OURS, base)
  const guest: VmmGuest = {
    ...{ name: 'web', cwd: folder, ...OURS, environment: { PATH: process.env.PATH ?? '' }, statePath },
    vmm: { save, cancel, start: 'exit 1' },
  }
  const vmm = identify(child.pid as number) as ProcessIdentity
  return { guest, vmm, base, folder, child, run: { vmm, streams: [0, 1, 2], timeoutMs: TIMEOUT_MS } as const }
}

test('a save finds VM, state file and process, and what it wrote is measured; a cancel continues', async (t) => {
  const { guest, vmm, base, run } = guestOf(t, SAVE)
  const before = Date.now()
  const saved = await runSave(guest, run, base)
  assert.deepEqual(
    [saved.path, saved.sizeBytes, saved.wasRunning, saved.qemuVersion],
    [guest.statePath, 'state of web'.length, true, '-'],
  )
  assert.equal(readFileSync(guest.statePath, 'utf8'), 'state of web')
  assert.ok(saved.stoppedAtMs >= before && saved.stoppedAtMs <= Date.now())
  assert.equal(isStopped(vmm.pid), true)
  await runCancel(guest, run)
  assert.equal(isStopped(vmm.pid), false)
})

test('a save that fails, or leaves no state, is an error with its command', async (t) => {
  const failing = guestOf(t, 'exit 3')
  await assert.rejects(
    runSave(failing.guest, failing.run, failing.base),
    /^QemuError: --save 'exit 3' ended with status 3$/,
  )
  const empty = guestOf(t, 'true')
  await assert.rejects(runSave(empty.guest, empty.run, empty.base), CorruptBytesError)
  const gone = guestOf(t, 'rm "$GUESTMEMFS_STATE"')
  await assert.rejects(runSave(gone.guest, gone.run, gone.base), CorruptBytesError)
})

test('a save without an end is ended with all that it has started', async (t) => {
  const { guest, base, run, folder } = guestOf(t, `sleep 600 & echo $! >child; sleep 600`)
  await assert.rejects(runSave(guest, { ...run, timeoutMs: 200 }, base), /did not end within 200 ms/)
  const child = Number(readFileSync(join(folder, 'child'), 'utf8'))
  for (let look = 0; look < 200 && identify(child) !== undefined; look++)
    await new Promise((resolve) => setTimeout(resolve, 10))
  assert.equal(identify(child), undefined)
})

test('a guest that cannot be continued is reported as stopped', async (t) => {
  const { guest, run, child } = guestOf(t, SAVE, 'exit 4')
  await assert.rejects(
    runCancel(guest, run),
    (error) =>
      error instanceof GuestStoppedError && /--cancel 'exit 4' ended with status 4/.test(error.message),
  )
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
  await assert.rejects(
    runCancel({ ...guest, vmm: { save: SAVE, cancel: 'true', start: '' } }, run),
    (error) => error instanceof GuestStoppedError && /its program has ended/.test(error.message),
  )
})
