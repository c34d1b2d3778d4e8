/**
 * A Linux guest with a shared folder of virtiofsd, a TPM of swtpm and two disks, on a pool of memfds that LUO
 * hands over: the file that it has open there takes its lines after the kexec as before it.
 */
import { expectReady, liveUpdate, updateOnce } from '../scenario/live-update.ts'
import { expectClean, onlyVm } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { HOME, linuxCommand, linuxFiles, MAKE_DISKS, PATIENCE_MS, TPM } from './linux-guest.ts'
import { LUO_KERNEL, LUO_WORDS, MOUNT_MEMFDS } from './luo.ts'

const SOCKET = '/run/share.socket'
const SHARE = `rm -f ${SOCKET}
/usr/libexec/virtiofsd --socket-path=${SOCKET} --shared-dir=${HOME}/shared --sandbox=chroot 2>>/run/virtiofsd.log &
until [ -S ${SOCKET} ]; do sleep 0.1; done`
const QEMU = linuxCommand(
  ['share'],
  `-chardev socket,id=share0,path=${SOCKET} -device vhost-user-fs-pci,chardev=share0,tag=share,id=share0`,
)

export const linuxShare: Scenario = {
  about: 'a Linux guest with an open file in a folder of virtiofsd and a TPM of swtpm, handed over by LUO',
  tier: 'testbed',
  kernel: LUO_KERNEL,
  memory: '4G',
  timeoutMs: 2400_000,
  append: LUO_WORDS,
  packages: ['swtpm', 'virtiofsd'],
  files: () => linuxFiles(['share']),
  async run(stage) {
    const { host, next, phase, guest, expect } = stage
    const ticks = guest('guest')
    await phase('mount', () => host.run(MOUNT_MEMFDS))
    await host.run(`${MAKE_DISKS}; mkdir ${HOME}/shared\ncat >${HOME}/helpers <<'END'\n${TPM}\n${SHARE}\nEND`)
    await host.start('run', `exec guestmemfs run --name guest --before 'sh ${HOME}/helpers' -- ${QEMU}`)
    await phase('guest runs', () => ticks.waitForTicks(10, PATIENCE_MS))
    await expectLines(stage, 'before')
    await host.atBoot(`${MOUNT_MEMFDS} --resume`, { alone: true })
    await expectReady(stage, liveUpdate(next))
    await phase('live update', () => updateOnce(stage, [ticks], 'report'))
    await phase('the guest goes on', () => ticks.waitForTicks(10, PATIENCE_MS))
    await expectLines(stage, 'in the next kernel')
    expect('guest', (await onlyVm(host)).state, 'running')
    await expectClean(stage)
  },
}

/** The guest writes one at each tick, and reads it back: here is what came to the host. */
async function expectLines({ host, expect }: Stage, when: string): Promise<void> {
  expect(`faults, ${when}`, host.log('guest').text.match(/^fault: .*$/gm) ?? [], [])
  const lines = (await host.run(`cat ${HOME}/shared/lines`)).split('\n')
  expect(`lines are many, ${when}`, lines.length >= 10, true)
  expect(
    `lines in the shared folder, ${when}`,
    lines,
    Array.from(lines, (_, index) => String(index + 1)),
  )
}
