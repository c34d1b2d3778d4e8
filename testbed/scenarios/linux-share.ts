/**
 * The Linux guest of linux-parts.ts on two pools of memfds that LUO hands over, with a shared folder of
 * virtiofsd besides: the file that it has open there takes its lines after the kexec as before it.
 */
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { HOME, type LinuxHost, linuxFiles, TPM, updateLinuxHost } from './linux-parts.ts'
import { LUO_KERNEL, LUO_WORDS } from './luo.ts'

const SOCKET = '/run/share.socket'
const SHARE = `rm -f ${SOCKET}
/usr/libexec/virtiofsd --socket-path=${SOCKET} --shared-dir=${HOME}/shared --sandbox=chroot 2>>/run/virtiofsd.log &
until [ -S ${SOCKET} ]; do sleep 0.1; done`

const LINUX: LinuxHost = {
  mount: 'guestmemfs mount guestmemfs /mnt/guestmemfs -o size=512M',
  mountSecond: 'guestmemfs mount second /mnt/second -o size=512M',
  helpers: `${TPM}\n${SHARE}`,
  watched: ['share'],
  words: [
    `-chardev socket,id=share0,path=${SOCKET} -device vhost-user-fs-pci,chardev=share0,tag=share,id=share0`,
  ],
}

export const linuxShare: Scenario = {
  about:
    'the same with an open file in a folder of virtiofsd besides, its RAM in two pools that LUO hands over',
  tier: 'testbed',
  kernel: LUO_KERNEL,
  memory: '4G',
  timeoutMs: 2400_000,
  append: LUO_WORDS,
  hasPeer: true,
  packages: ['swtpm', 'virtiofsd'],
  files: () => linuxFiles(LINUX),
  run: (stage) => updateLinuxHost(stage, LINUX, (when) => expectLines(stage, when)),
}

/** The guest writes one at each tick, and reads it back: here is what came to the host. */
async function expectLines({ host, expect }: Stage, when: string): Promise<void> {
  const lines = (await host.run(`cat ${HOME}/shared/lines`)).split('\n')
  expect(`lines are many, ${when}`, lines.length >= 8, true)
  expect(
    `lines in the shared folder, ${when}`,
    lines,
    Array.from(lines, (_, index) => String(index + 1)),
  )
}
