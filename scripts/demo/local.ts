/**
 * `npm run demo -- --local`: the part of the product that this machine can show without a reboot. It mounts a
 * pool, runs a guest in it, kills the file system's server, replaces the guest's QEMU, and the guest's output
 * shows whether it noticed. It installs a missing QEMU (on a terminal it asks before), ends all processes
 * that it started and removes all that it made. Must not: touch other pools or guests.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Outputs } from '../../src/cli/json/outputs.ts'
import { THIS_HOST } from '../../src/host/apt.ts'
import { mountProblem } from '../../src/host/checks.ts'
import { ensureQemu } from '../../src/host/qemu-package.ts'
import { formatVersion } from '../../src/host/version.ts'
import { UsageError } from '../../src/values/errors.ts'
import { buildTinyGuest } from '../../testbed/guests/tiny-guest.ts'
import { DemoGuest } from './guest.ts'
import { Screen } from './screen.ts'

const CLI = join(import.meta.dirname, '../../src/cli.ts')
const CHECKED_MIB = 96
const RAM = '128M'

const screen = new Screen()
const pool = `demo-${process.pid}`

async function guestmemfs(...words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [CLI, ...words], { timeout: 120_000 })
  return stdout
}

const readJson = async <Command extends keyof Outputs>(
  command: Command,
  ...words: string[]
): Promise<Outputs[Command]> => JSON.parse(await guestmemfs(command, ...words, '--json'))

/** Ends with one line when this machine cannot run it; installs QEMU when only that is missing. */
async function prepare(yes: boolean): Promise<void> {
  const obstacle = mountProblem()
  if (obstacle) throw new UsageError(`${obstacle.subject}: ${obstacle.message}: ${obstacle.advice}`)
  const version = await ensureQemu(THIS_HOST, { yes }, (line) => screen.print(`  ${line}`))
  screen.print(`  QEMU ${formatVersion(version)}`)
}

async function pidsOf(): Promise<{ serverPid: number }> {
  const { pools } = await readJson('list')
  return { serverPid: pools.find((entry) => entry.pool === pool)?.serverPid ?? 0 }
}

const qemuPid = async (mountPoint: string): Promise<number> =>
  (await readJson('vms', mountPoint)).vms[0]?.pid ?? 0

/** SIGKILL; then prints the time until the mount answers, and the new server. */
async function killServer(mountPoint: string): Promise<void> {
  const { serverPid } = await pidsOf()
  const killedAt = performance.now()
  process.kill(serverPid, 'SIGKILL')
  statfsSync(mountPoint)
  const waited = performance.now() - killedAt
  screen.print(
    `  server ${serverPid} is dead; ${(await pidsOf()).serverPid} answered after ${waited.toFixed(0)} ms`,
  )
}

async function updateVmm(mountPoint: string): Promise<number> {
  const before = await qemuPid(mountPoint)
  const { reports } = await readJson('live-update', '--vmm-only', mountPoint)
  const vm = reports[0]?.vms[0]
  if (vm?.outcome !== 'updated' || vm.blackoutUs === null) {
    throw new UsageError(`the live update did not succeed: ${vm?.outcome}: ${vm?.problem}`)
  }
  const ms = (us: number): string => `${(us / 1000).toFixed(1)} ms`
  screen.print(`  QEMU ${before} is gone, ${await qemuPid(mountPoint)} runs its guest`)
  screen.print(`  ${vm.phases.map(({ phase, durationUs }) => `${phase} ${ms(durationUs)}`).join(' · ')}`)
  return vm.blackoutUs
}

function startGuest(folder: string, mountPoint: string): DemoGuest {
  const kernel = join(folder, 'guest')
  writeFileSync(kernel, buildTinyGuest({ mebibytes: CHECKED_MIB, strideBytes: 64 }))
  const backend = `memory-backend-file,id=pc.ram,size=${RAM},mem-path=${join(mountPoint, 'guest-ram')},share=on`
  const qemu = ['qemu-system-x86_64', '-machine', 'q35,memory-backend=pc.ram', '-accel', 'tcg', '-m', RAM]
  const devices = [
    '-object',
    backend,
    '-kernel',
    kernel,
    '-nodefaults',
    '-display',
    'none',
    '-serial',
    'stdio',
  ]
  return new DemoGuest(
    [process.execPath, CLI, 'run', '--name', pool, '--pool', mountPoint, '--', ...qemu, ...devices],
    ({ number, bad }) => screen.live(`guest says: tick ${number} bad ${bad}`),
  )
}

/** Removes the guest's QEMU, the pool, the folder, as far as they exist. */
async function cleanUp(folder: string, mountPoint: string, guest: DemoGuest | undefined): Promise<void> {
  const pid = await qemuPid(mountPoint).catch(() => 0)
  if (pid > 0) process.kill(pid, 'SIGTERM')
  if (guest) await Promise.race([guest.ended(), sleep(10_000, undefined, { ref: false })])
  await guestmemfs('umount', '--discard', pool).catch(() => {}) // Not mounted: no memory to give up.
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}

export async function demoLocal({ yes }: { yes: boolean }): Promise<void> {
  await screen.step('what this machine has', () => prepare(yes))
  const folder = mkdtempSync('/tmp/guestmemfs-demo-')
  const mountPoint = join(folder, 'mnt')
  mkdirSync(mountPoint)
  let guest: DemoGuest | undefined
  try {
    await screen.step(`guestmemfs mount ${pool} ${mountPoint} -o size=256M`, () =>
      guestmemfs('mount', pool, mountPoint, '-o', 'size=256M'),
    )
    const running = await screen.step(
      'guestmemfs run -- qemu-system-x86_64 … -m 128M (RAM in the mount)',
      async () => {
        guest = startGuest(folder, mountPoint)
        await guest.tick(8)
        return guest
      },
    )
    await screen.step('kill -9 the file system’s server, under the running guest', async () => {
      await killServer(mountPoint)
      await running.tick(8)
    })
    const lastBefore = running.ticks.at(-1)?.number ?? 0
    const blackoutUs = await screen.step('guestmemfs live-update --vmm-only', () => updateVmm(mountPoint))
    await screen.step('the guest goes on', () => running.tick(12))
    screen.timeline()
    verdict(running, lastBefore, blackoutUs)
  } finally {
    await cleanUp(folder, mountPoint, guest)
  }
}

function verdict(guest: DemoGuest, lastBefore: number, blackoutUs: number): void {
  const { ticks, broken } = guest
  if (broken !== undefined) throw new UsageError(`the guest noticed: ${broken}`)
  screen.print('')
  screen.print(
    `  ${ticks.length} ticks without a gap, ${lastBefore} before the update; every checked word of ${CHECKED_MIB} MiB as it was.`,
  )
  screen.print(
    `  The guest was stopped for ${(blackoutUs / 1000).toFixed(1)} ms. It was never started again.`,
  )
  screen.print('')
  screen.print('The guest kept its memory and went on.')
}
