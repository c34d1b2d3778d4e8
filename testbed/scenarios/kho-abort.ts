/**
 * Owns changing one's mind: a pool is handed over, and taken back; an update fails after everything was handed over, and is rolled back;
 * and after all of it the guest is updated for real.
 */
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { LUO_KERNEL, LUO_WORDS, MOUNT_MEMFDS, tinyQemu } from './luo.ts'
import { SERVER_PID } from './server-pid.ts'

/** Takes the next kernel away as soon as guest RAM is handed over: what follows goes on to the jump, and finds none. */
const UNLOAD = `until grep -q 'handed over: ram' /run/guestmemfs/pools/guestmemfs.log; do sleep 0.05; done; kexec -s -u`
const HANDOVER = 'getfattr --only-values -n guestmemfs.handover /mnt/guestmemfs'
const KEEPER_PID = `guestmemfs list --json | sed -E 's/.*"keeperPid":([0-9]+).*/\\1/'`
const TAKEN_BACK = `for try in $(seq 200); do if ${HANDOVER} | grep -q '"state":"idle"'; then break; fi; [ $try -lt 200 ]; sleep 0.05; done`

export const khoAbort: Scenario = {
  about:
    'a hand-over that is taken back, one that dies, and an update that is rolled back; then one that works',
  kernel: LUO_KERNEL,
  memory: '3G',
  append: LUO_WORDS,
  files: () => ({ guest: buildTinyGuest({ mebibytes: 32 }) }),
  async run({ host, next, phase, keep, guest }) {
    const ram = guest('guest')
    const update = `guestmemfs live-update --kernel ${next.vmlinuz} --initrd ${next.initramfs} --reuse-cmdline`
    await phase('mount', () => host.run(MOUNT_MEMFDS))
    await host.run(
      'echo kept >/mnt/guestmemfs/note; touch /mnt/guestmemfs/spare; truncate -s 8M /mnt/guestmemfs/spare',
    )
    await host.start('run', `exec guestmemfs run --name guest -- ${tinyQemu('guest', 128)}`)
    await phase('guest runs', () => ram.waitForTicks(5))

    // Handed over under a running guest: stores through its mapping go on, everything else waits for the thaw.
    keep('handed over', await phase('hand over', () => host.run('guestmemfs hand-over')))
    await ram.waitForTicks(3)
    await host.run(`! truncate -s 4M /mnt/guestmemfs/spare 2>&1; ! rm /mnt/guestmemfs/note 2>&1
      ! guestmemfs live-update --kernel ${next.vmlinuz} 2>/dev/null`)
    await phase('server killed', () =>
      host.run(`kill -KILL $(${SERVER_PID}); ${HANDOVER} | grep -q '"step":"image","state":"done"'`),
    )
    await phase('thaw', () => host.run(`guestmemfs thaw; ${TAKEN_BACK}`))
    // Everything can be changed again, what was preserved as well.
    await host.run(
      'cd /mnt/guestmemfs; truncate -s 4M spare; truncate -s 16M spare; rm spare; [ $(cat note) = kept ]',
    )
    await ram.waitForTicks(3)

    // The keeper dies with everything handed over: the server has a copy of each session, and the next keeper takes those.
    await host.run('guestmemfs hand-over')
    await phase('keeper killed', () =>
      host.run(`kill -KILL $(${KEEPER_PID}); guestmemfs mount guestmemfs /mnt/guestmemfs
        ${HANDOVER} | grep -q '"step":"image","state":"done"'
        ls -l /proc/$(${KEEPER_PID})/fd | grep -q luo_session
        guestmemfs thaw; ${TAKEN_BACK}; ! ls -l /proc/$(${KEEPER_PID})/fd | grep luo_session`),
    )
    await ram.waitForTicks(3)

    // Guests saved, all handed over; and then there is nowhere to jump to.
    await host.run('rm -f /run/guestmemfs/pools/guestmemfs.log.1; : >/run/guestmemfs/pools/guestmemfs.log')
    await host.start('unload', UNLOAD)
    keep('rolled back', await phase('no jump', () => host.run(`! ${update} 2>&1`)))
    await ram.waitForTicks(3)
    await host.run(`${TAKEN_BACK}; touch /mnt/guestmemfs/thawed; ! ls /mnt/guestmemfs/*.vmstate 2>&1`)

    await host.atBoot(`${MOUNT_MEMFDS}; guestmemfs resume`)
    keep('plan', await phase('dry run', () => host.run(`${update} --dry-run 2>&1`)))
    await phase('live update', () => host.jump(update))
    await phase('guest runs on', () => ram.waitForTicks(10))
    await host.log('at-boot').waitFor(/BLACKOUT\n.* updated/)
    keep('report', await host.run('guestmemfs report'))
    await host.run('cd /mnt/guestmemfs; [ "$(cat note)" = kept ]; [ -e thawed ]; touch more')
  },
}
