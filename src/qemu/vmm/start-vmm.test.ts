/** Tests of when a saved guest of another VMM counts as gone on: by its state file, and its program. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { baseAt } from '../../linux/testing/base-at.ts'
import { identify, type ProcessIdentity } from '../../run/process-identity.ts'
import type { VmDefinition } from '../vm-definition.ts'
import { endVmm } from './end-vmm.ts'
import { isTaken, whyNotTaken } from './start-vmm.ts'
import { vmmLaunch } from './vmm-launch.ts'

/** A saved guest in a folder, and the process of a shell that runs `script` there. */
function started(t: TestContext, script: string) {
  const folder = mkdtempSync(join(tmpdir(), 'vmm-'))
  const [path, ram] = [join(folder, 'web.vmstate'), join(folder, 'web')]
  writeFileSync(path, 'a state')
  writeFileSync(ram, '')
  const child = spawn('/bin/sh', ['-c', script], { cwd: folder, stdio: 'ignore', detached: true })
  t.after(() => {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  })
  const definition = {
    ...{ name: 'web', argv: ['/bin/vmm'], environment: {}, statePath: path },
    ...{ ramFiles: [{ id: 'ram0', path: ram, sizeBytes: 0 }] },
    saved: { path, sizeBytes: 7, crc32: 0, wasRunning: true, stoppedAtMs: 0, qemuVersion: '-' },
  } as unknown as VmDefinition
  const vmm = identify(child.pid as number) as ProcessIdentity
  return { definition, vmm, base: baseAt(folder), folder, path, ram }
}

test('a program that empties its state has taken it', async (t) => {
  const { definition, vmm, base } = started(t, 'sleep 0.05; : >web.vmstate; exec sleep 600')
  assert.equal(isTaken(definition, base), false)
  assert.equal(await whyNotTaken(definition, vmm, 20_000, base), undefined)
  assert.equal(isTaken(definition, base), true)
})

test('one that ends has not, nor has one that does not empty it in time', async (t) => {
  const ending = started(t, 'sleep 0.05; exit 1')
  assert.equal(await whyNotTaken(ending.definition, ending.vmm, 20_000, ending.base), 'has ended')
  const idle = started(t, 'exec sleep 600')
  assert.match(
    (await whyNotTaken(idle.definition, idle.vmm, 60, idle.base)) ?? '',
    /^has not emptied its state file within 60 ms$/,
  )
})

test('a state file that is gone was taken, unless all of its mount is', (t) => {
  const { definition, base, path, ram } = started(t, 'exec sleep 600')
  rmSync(path)
  assert.equal(isTaken(definition, base), true)
  rmSync(ram)
  assert.equal(isTaken(definition, base), false)
})

/** The pid that the program has written to `child`. */
async function childOf(folder: string): Promise<number> {
  const written = join(folder, 'child')
  const read = (): number => (existsSync(written) ? Number(readFileSync(written, 'utf8')) : 0)
  while (read() === 0) await sleep(5)
  return read()
}

for (const [what, script] of [
  ['that ignores SIGTERM', 'trap "" TERM; sleep 600 & echo $! >child; wait'],
  ['whose child alone ignores it', '(trap "" TERM; exec sleep 600) & echo $! >child; wait'],
])
  test(`an end is that of the whole group, also of a program ${what}`, async (t) => {
    const { vmm, folder } = started(t, script as string)
    const child = await childOf(folder)
    await endVmm('web', vmm, 50)
    assert.deepEqual([identify(vmm.pid), identify(child)], [undefined, undefined])
  })

test('what a program that has ended left in its group is ended', async (t) => {
  const { vmm, folder } = started(t, 'sleep 600 & echo $! >child; until [ -e end ]; do sleep 0.01; done')
  const child = await childOf(folder)
  writeFileSync(join(folder, 'end'), '')
  while (identify(vmm.pid) !== undefined) await sleep(5)
  await endVmm('web', vmm, 50)
  assert.equal(identify(child), undefined)
})

test('a program whose group starts others without end is ended in bounded time', async (t) => {
  // Each runs for a moment, and ignores SIGTERM.
  const { vmm } = started(t, 'trap "" TERM; while :; do (trap "" TERM; :) & wait; done')
  await endVmm('web', vmm, 200)
  assert.equal(identify(vmm.pid), undefined)
})

test('from power-on the line is started, and a saved guest by its command, with the path of its state', () => {
  const definition = {
    ...{ name: 'web', statePath: '/mnt/gm/web.vmstate', environment: { PATH: '/bin' } },
    ...{ argv: ['/bin/vmm', '--ram', '/mnt/gm/web'], saved: null },
  } as unknown as VmDefinition
  const environment = { PATH: '/bin', GUESTMEMFS_VM: 'web', GUESTMEMFS_STATE: '/mnt/gm/web.vmstate' }
  assert.deepEqual(vmmLaunch(definition, 'go on').argv, definition.argv)
  const saved = { ...definition, saved: {} } as VmDefinition
  assert.deepEqual(vmmLaunch(saved, 'go on').argv, ['/bin/sh', '-c', 'go on'])
  assert.deepEqual(vmmLaunch(saved, 'go on').environment, environment)
})
