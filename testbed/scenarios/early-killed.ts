/**
 * The proof that a guest that is let go on before its pool is mounted survives the death of the command that
 * does it, whenever that is: after each kexec `mount --resume` is killed a moment later than the time before,
 * and `resume` brings the guest back with every word of its memory.
 */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { liveUpdate } from '../scenario/live-update.ts'
import { expectClean, onlyVm } from '../scenario/pool.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { CARVE_OUT, MOUNT } from './carve-out.ts'

const DIRECTORY = '/mnt/guestmemfs'
/** When the command is killed: what a shell waits for, by the moment's name. */
const MOMENTS: Readonly<Record<string, string>> = {
  'at once': 'sleep 0.3',
  'after 2 s': 'sleep 2',
  'after 4 s': 'sleep 4',
  'QEMU is there': 'until pgrep qemu-system >/dev/null; do sleep 0.05; done',
  'a second later': 'until pgrep qemu-system >/dev/null; do sleep 0.05; done; sleep 1',
  'two seconds later': 'until pgrep qemu-system >/dev/null; do sleep 0.05; done; sleep 2',
  'the guest runs': 'until [ -s /run/testbed/logs/guest ]; do sleep 0.05; done',
  'the pool is mounted': `until mountpoint -q ${DIRECTORY}; do sleep 0.05; done`,
}
const PATIENCE_MS = 240_000
const QEMU = guestCommand({ name: 'guest', mebibytes: 300, kernel: 'tiny-guest' })
const STATE = `${DIRECTORY}/guest.vmstate`

/** The mount of the command may have succeeded; what is left of it holds the mount lock for a moment. */
const AGAIN = `for try in $(seq 50); do
    mountpoint -q ${DIRECTORY} && stat ${DIRECTORY}/guest-ram >/dev/null 2>&1 && break
    ${MOUNT} 2>&1 && break; sleep 0.2; done`
/** How far the killed command had come: QEMUs, whether the state is there, and whether it has the mark. */
const FOUND = `echo "QEMUs $(pgrep -c qemu-system || true), state $(head -c 8 ${STATE} 2>/dev/null | tr -cd 'A-Z' || true)"`

export const earlyKilled: Scenario = {
  about:
    'a guest that goes on before its mount: the command is killed at eight moments, and `resume` follows',
  tier: 'long',
  memory: '4G',
  timeoutMs: 1800_000,
  append: CARVE_OUT,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run(stage) {
    const { host, next, phase, keep, expect, guest } = stage
    const ram = guest('guest')
    await phase('mount', () => host.run(`mkdir -p ${DIRECTORY}; ${MOUNT}`))
    await host.start('run', `exec guestmemfs run --name guest -- ${QEMU}`)
    await phase('guest runs', () => ram.waitForTicks(10))
    const states = new Set<string>()
    for (const [moment, wait] of Object.entries(MOMENTS)) {
      await host.atBoot(
        `mkdir -p ${DIRECTORY}; ${MOUNT} --resume & ${wait}; kill -KILL $! || true; wait || true`,
        { alone: true },
      )
      await phase(`kexec, killed: ${moment}`, () => host.jump(liveUpdate(next)))
      await phase(`resume: ${moment}`, async () => {
        keep(`mounted again: ${moment}`, await host.run(AGAIN, { timeoutMs: PATIENCE_MS }))
        const found = await host.run(FOUND)
        states.add(found)
        keep(`found: ${moment}`, found)
        keep(`resumed: ${moment}`, await host.run('guestmemfs resume 2>&1', { timeoutMs: PATIENCE_MS }))
        await ram.waitForTicks(5, PATIENCE_MS)
      })
      expect(`guest: ${moment}`, (await onlyVm(host)).state, 'running')
      expect(`files: ${moment}`, await host.run(`ls ${DIRECTORY}`), 'guest-ram')
    }
    // Else some moment was not met, and the scenario would prove less than it says.
    for (const state of ['QEMUs 0, state QEVM', 'QEMUs 1, state QEVM', 'QEMUs 1, state CONSUMED'])
      expect(`some command had come to: ${state}`, states.has(state), true)
    await expectClean(stage)
  },
}
