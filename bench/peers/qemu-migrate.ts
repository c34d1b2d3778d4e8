/**
 * QEMU's ordinary migration of a guest into a new QEMU on the same host, as a peer: `migrate file:` into a
 * tmpfs, a fresh QEMU with fresh RAM, `migrate-incoming`. All RAM is written and read once.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { awaitMigration, fileChannels } from '../../src/qemu/migration.ts'
import { QmpClient } from '../../src/qemu/qmp-client.ts'
import { makeTouchedRam, qemuOptions, waitForTicks, writeGuestKernel } from '../touched-guest.ts'

const LONG_MS = 300_000

async function start(
  folder: string,
  name: string,
  options: readonly string[],
): Promise<[ChildProcess, QmpClient]> {
  const socket = join(folder, `${name}.qmp`)
  const child = spawn('qemu-system-x86_64', [...options, '-qmp', `unix:${socket},server=on,wait=off`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  for (let wait = 0; !existsSync(socket); wait += 1) {
    if (wait > 400 || child.exitCode !== null) throw new Error('QEMU did not start')
    await sleep(25)
  }
  return [child, await QmpClient.connect(socket, 20_000)]
}

async function end(child: ChildProcess, qmp: QmpClient): Promise<void> {
  const ended = once(child, 'exit')
  await qmp.execute('quit').catch(() => {}) // QEMU may close the socket before it answers.
  await ended
  qmp.close()
}

/**
 * Milliseconds from the last instruction in the old QEMU to the first in the new one. `folder` is on a tmpfs;
 * `more`: further options of both.
 */
export async function ordinaryBlackoutMs(
  folder: string,
  bytes: number,
  more: readonly string[] = [],
): Promise<number> {
  const path = (name: string): string => join(folder, name)
  const files = { kernel: path('kernel'), serial: path('serial') }
  writeGuestKernel(files.kernel)
  await makeTouchedRam(path('ram-old'), bytes)
  const [oldChild, oldQmp] = await start(folder, 'old', [
    ...qemuOptions({ ...files, ramFile: path('ram-old') }, bytes),
    ...more,
  ])
  let newChild: ChildProcess | undefined
  try {
    await waitForTicks(files.serial, 3)
    const migrationEvents = { capabilities: [{ capability: 'events', state: true }] }
    await oldQmp.execute('migrate-set-capabilities', migrationEvents)
    oldQmp.dropEvents()
    await oldQmp.execute('migrate', fileChannels(path('state')))
    await awaitMigration(oldQmp, LONG_MS)
    const stopped = oldQmp.takeEvent('STOP')?.atMs ?? Number.NaN
    await end(oldChild, oldQmp)
    rmSync(path('ram-old'))
    const options = [
      ...qemuOptions({ ...files, ramFile: path('ram-new') }, bytes),
      ...more,
      '-incoming',
      'defer',
    ]
    const [child, newQmp] = await start(folder, 'new', options)
    newChild = child
    await newQmp.execute('migrate-set-capabilities', migrationEvents)
    await newQmp.execute('migrate-incoming', fileChannels(path('state')))
    const resumed = await newQmp.event(({ name }) => name === 'RESUME', LONG_MS, 'the guest did not resume')
    await waitForTicks(files.serial, 3)
    await end(newChild, newQmp)
    return resumed.atMs - stopped
  } finally {
    oldChild.kill('SIGKILL')
    newChild?.kill('SIGKILL')
    for (const name of ['kernel', 'serial', 'ram-old', 'ram-new', 'state', 'old.qmp', 'new.qmp']) {
      rmSync(path(name), { force: true })
    }
  }
}
