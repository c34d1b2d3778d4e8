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
/** Seconds after the command's start, in an emulated host and in a fast one. */
const DELAYS = [0.4, 1.5, 2.5, 3.5, 4.5, 5.5, 7, 9]
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
    for (const delay of DELAYS) {
      const killed = `mkdir -p ${DIRECTORY}; ${MOUNT} --resume & sleep ${delay}; kill -KILL $! || true; wait || true`
      await host.atBoot(killed, { alone: true })
      await phase(`kexec, killed after ${delay} s`, () => host.jump(liveUpdate(next)))
      await phase(`resume after ${delay} s`, async () => {
        keep(`mounted again after ${delay} s`, await host.run(AGAIN, { timeoutMs: PATIENCE_MS }))
        keep(`found after ${delay} s`, await host.run(FOUND))
        keep(`resumed after ${delay} s`, await host.run('guestmemfs resume 2>&1', { timeoutMs: PATIENCE_MS }))
        await ram.waitForTicks(5, PATIENCE_MS)
      })
      expect(`guest after ${delay} s`, (await onlyVm(host)).state, 'running')
      expect(`files after ${delay} s`, await host.run(`ls ${DIRECTORY}`), 'guest-ram')
    }
    await expectClean(stage)
  },
}
