/**
 * The campaign `machine` changes a running guest over its monitor in many ways, and replaces its QEMU.
 * Afterwards it must have the same machine, with every byte of its disks and its RAM, or the update was
 * refused and the guest never stopped.
 */
import assert from 'node:assert/strict'
import { randomFrom } from '../../src/fs/image/testing/random.ts'
import { mountProblem } from '../../src/host/checks.ts'
import { installedQemu } from '../../src/host/qemu-package.ts'
import { type Campaign, count, round } from '../campaign.ts'
import { mountPlainly } from '../kill/plain-host.ts'
import { ChangedVm } from './changed-vm.ts'
import { changeAtRandom, emptyState, type State } from './changes.ts'

/** Of one guest that is booted once. */
const SEQUENCES = 10
const MOST_CHANGES = 5
/** A quarter of them with the guest paused: then its RAM is compared as a whole. */
const PAUSED_OF = 4

type Figures = Record<string, number>

async function sequence(
  vm: ChangedVm,
  state: State,
  random: ReturnType<typeof randomFrom>,
  figures: Figures,
) {
  const changes = []
  for (let left = 1 + random.below(MOST_CHANGES); left > 0; left--) {
    const done = await changeAtRandom(vm, state, random)
    changes.push(done)
    if (done.undo !== undefined) break
  }
  const said = changes.map(({ what }) => what).join(', ')
  const isPaused = random.below(PAUSED_OF) === 0
  if (isPaused) await vm.command('stop')
  const before = { machine: await vm.machine(), pid: vm.pid, ram: isPaused ? vm.ramHash() : '' }
  const undo = changes.at(-1)?.undo
  const { status, stderr } = vm.update()
  count(figures, 'changes', changes.length)
  if (undo === undefined) {
    assert.equal(status, 0, `after ${said}: ${stderr}`)
    assert.notEqual(vm.pid, before.pid)
    count(figures, 'updated')
  } else {
    assert.deepEqual([status, vm.pid], [1, before.pid], `after ${said}: ${stderr}`)
    assert.match(stderr, /while it ran/)
    count(figures, 'refused')
  }
  assert.deepEqual(await vm.machine(), before.machine, `after ${said}`)
  if (isPaused) {
    assert.equal(vm.ramHash(), before.ram, `RAM after ${said}`)
    await vm.command('cont')
    count(figures, 'ramCompared')
  }
  await undo?.()
  count(figures, 'chunks', await vm.checkDisks())
  await vm.moreTicks(1)
}

export const machine: Campaign = {
  about:
    'a living guest is plugged, snapshotted, pinned and limited at random, then updated: the same machine',
  obstacle: async () =>
    mountProblem()?.message ?? (installedQemu() === undefined ? 'QEMU is not installed' : undefined),
  async run(stage) {
    do {
      const seed = stage.seed()
      await round(stage, seed, async (figures) => {
        const random = randomFrom(seed)
        const host = mountPlainly(`machine-${process.pid}-${seed}`, '192M')
        const vm = new ChangedVm(host, `living-${process.pid}`)
        try {
          await vm.start(1 + (seed % 1000))
          const state = emptyState()
          for (let done = 0; done < SEQUENCES && stage.secondsLeft() > 0; done++) {
            await sequence(vm, state, random, figures)
            count(figures, 'sequences')
          }
        } finally {
          await vm.end()
          await host.end()
        }
      })
    } while (stage.secondsLeft() > 0)
  },
}
