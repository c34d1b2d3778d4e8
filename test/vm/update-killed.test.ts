/**
 * Owns the update's own death: `guestmemfs live-update` is killed at a random moment, again and again, and
 * `guestmemfs resume` always finds a guest that can go on with every byte in place. The seed is printed;
 * GUESTMEMFS_SEED repeats a run.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomFrom } from '../../src/fs/image/testing/random.ts'
import { vmPaths } from '../../src/run/vm-runtime.ts'
import { CLI } from '../mount/support.ts'
import { mountVmPool, resumeVms, Serial, startTinyVm, type VmPool } from './support.ts'

const ROUNDS = 10
/** From the making of the state file, which comes first, to about when the guest runs again. */
const WINDOW_MS = 150

test('an update killed at any moment leaves a guest that goes on', async (t) => {
  const seed = Number(process.env.GUESTMEMFS_SEED ?? Date.now() % 1_000_000)
  t.diagnostic(`seed ${seed}`)
  const random = randomFrom(seed)
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'hard')
  const found: Record<string, number> = {}
  for (let round = 0; round < ROUNDS; round++) {
    const delayMs = random.below(WINDOW_MS)
    await killedUpdate(pool, vm.name, delayMs)
    const { report } = await resumeVms(pool, vm.name)
    const [timeline] = report.vms
    const how = timeline?.problem ?? timeline?.phases.map(({ phase }) => phase).join(' ') ?? 'gone'
    found[how] = (found[how] ?? 0) + 1
    assert.ok(
      timeline?.outcome === 'resumed' || timeline?.problem?.startsWith('it runs'),
      `seed ${seed}, round ${round}, ${delayMs} ms: ${JSON.stringify(timeline)}`,
    )
    const before = ticksOf(vm.serial, vm.name).length
    const deadline = performance.now() + 20_000
    while (ticksOf(vm.serial, vm.name).length < before + 2) {
      assert.ok(performance.now() < deadline, `seed ${seed}, round ${round}: no ticks`)
      await sleep(50)
    }
  }
  for (const [index, { number, bad }] of ticksOf(vm.serial, vm.name).entries()) {
    assert.deepEqual([number, bad], [index + 1, 0], `seed ${seed}`)
  }
  t.diagnostic(`resumed after: ${JSON.stringify(found)}`)
})

async function killedUpdate(pool: VmPool, name: string, delayMs: number): Promise<void> {
  const words = ['live-update', '--vmm-only', '--mount', pool.mountPoint]
  const update = spawn(process.execPath, [CLI, ...words], { stdio: 'ignore' })
  const ended = once(update, 'exit')
  const deadline = performance.now() + 20_000
  while (!existsSync(pool.path(`${name}.vmstate`)) && performance.now() < deadline) await sleep(1)
  await sleep(delayMs)
  update.kill('SIGKILL')
  await ended
}

/** The terminal's, and then the log's: a guest that had to be resumed writes there. */
function ticksOf(terminal: Serial, name: string) {
  try {
    return [...terminal.ticks(), ...new Serial(vmPaths(name).log).ticks()]
  } catch {
    return terminal.ticks()
  }
}
