/**
 * Owns what must never lose memory without a word on the way through the live update orchestrator: next kernels that would forget it or panic,
 * a device and a name that others have, memory that is not enough; and after a jump, sessions that are not there any more.
 */
import { readFileSync } from 'node:fs'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { luoKernel } from '../kernel/luo.ts'
import { withOtherAbi } from '../kernel/other-abi.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { LUO_KERNEL, LUO_WORDS, MOUNT_MEMFDS, tinyQemu } from './luo.ts'

const FILES = '/opt/testbed/files'
const SESSION = 'exec node /opt/testbed/guestmemfs/testbed/programs/luo/session.ts'
const COMMON = 'console=ttyS0 root=/dev/vda panic=-1 oops=panic'
/** Beside the pool of the guest. */
const MOUNT_OTHER = 'mkdir -p /mnt/other; guestmemfs mount other /mnt/other -o size=256M'
const THEIRS = 'guestmemfs:guestmemfs'

/** Images of another format each; the jump never comes, so nothing need boot. */
async function otherKernels(): Promise<Record<string, Uint8Array>> {
  const vmlinuz = readFileSync(await luoKernel())
  return {
    'other-kho': withOtherAbi(vmlinuz, 'kho-v4', 'kho-v9'),
    'other-luo': withOtherAbi(vmlinuz, 'luo-v5', 'luo-v9'),
    'other-memfd': withOtherAbi(vmlinuz, 'memfd-v2', 'memfd-v9'),
  }
}

/** What is typed, and what must be said. */
type Case = readonly [words: string, says: RegExp]

function kernels({ first, next }: Pick<Stage, 'first' | 'next'>): Record<string, Case> {
  const luo = `--kernel ${first.vmlinuz} --initrd ${first.initramfs}`
  const lost = /would lose all memory: it does not understand what this one hands over/
  return {
    'no orchestrator': [
      `--kernel ${next.vmlinuz} --initrd ${next.initramfs} --reuse-cmdline`,
      /has no live update orchestrator for memfds \(CONFIG_LIVEUPDATE/,
    ],
    'not told to': [`${luo} --append '${COMMON}'`, /add kho=on liveupdate=on to its command line/],
    'told not to': [
      `${luo} --append '${COMMON} kho=on liveupdate=off'`,
      /add liveupdate=on to its command line/,
    ],
    'another KHO': [`--kernel ${FILES}/other-kho`, lost],
    'another LUO': [`--kernel ${FILES}/other-luo`, lost],
    'another memfd': [`--kernel ${FILES}/other-memfd`, lost],
  }
}

export const khoRefuse: Scenario = {
  about:
    'kernels that would lose what is handed over, a device and names that others have, sessions that are gone',
  kernel: LUO_KERNEL,
  nextKernel: 'trixie-backports',
  memory: '3G',
  append: LUO_WORDS,
  timeoutMs: 1500_000,
  files: async () => ({ guest: buildTinyGuest({ mebibytes: 32 }), ...(await otherKernels()) }),
  async run(stage) {
    const { host, first, phase, keep, guest } = stage
    const ram = guest('guest')
    const good = `--kernel ${first.vmlinuz} --initrd ${first.initramfs} --reuse-cmdline`
    const refused = async (what: string, [words, says]: Case): Promise<void> => {
      const said = await phase(what, () => host.run(`! guestmemfs live-update ${words} 2>&1`))
      const line = said.split('\n').find((each) => says.test(each))
      if (line === undefined) throw new Error(`live-update ${words} did not say ${says}: ${said}`)
      keep(what, line)
    }

    // Where a host has the kernel it runs: the images of another format call themselves the same.
    await host.run(`mkdir -p /boot; ln -s ${first.vmlinuz} /boot/vmlinuz-$(uname -r)`)
    await phase('mount', () => host.run(`${MOUNT_MEMFDS}; ${MOUNT_OTHER}`))
    await host.run('echo mine >/mnt/guestmemfs/note; echo theirs >/mnt/other/note')
    await host.start('run', `exec guestmemfs run --name guest -- ${tinyQemu('guest', 128)}`)
    await phase('guest runs', () => ram.waitForTicks(5))
    const { pid } = JSON.parse(await host.run('guestmemfs vms --json'))[0]

    for (const [what, each] of Object.entries(kernels(stage))) await refused(what, each)
    const busy = await host.start('busy', 'exec sleep 600 </dev/liveupdate')
    await refused('busy device', [good, /another process has \/dev\/liveupdate open/])
    await host.run(`kill ${busy.pid}`)
    const taken = await host.start('taken', `${SESSION} create ${THEIRS}`)
    await taken.log.waitFor(/has /)
    await refused('name taken', [good, /another live update session has its name/])
    await host.run(`kill ${taken.pid}`)
    // A pool may promise more than there is. What is sparse is allocated when it is preserved.
    await host.run(
      'mkdir -p /mnt/sparse; guestmemfs mount sparse /mnt/sparse -o size=2900M; touch /mnt/sparse/huge; truncate -s 2900M /mnt/sparse/huge',
    )
    await refused('holes', [good, /fills the holes of sparse files, which takes .* more/])
    await host.run('guestmemfs umount --discard sparse')

    await ram.waitForTicks(2)
    const [vm] = JSON.parse(await host.run('guestmemfs vms --json'))
    if (vm.state !== 'running' || vm.pid !== pid) throw new Error(`the guest is ${JSON.stringify(vm)}`)
    await lose(stage)
  },
}

/**
 * The jump comes, and a stranger is at the device first: of one pool it takes the session with the ordinary files, of the other the index.
 * What is left of the first is there and in use; nothing takes the second one's place unasked.
 */
async function lose({ host, first, phase, keep, guest }: Stage): Promise<void> {
  const ram = guest('guest')
  await phase('jump', () =>
    host.jump(`guestmemfs live-update --kernel ${first.vmlinuz} --initrd ${first.initramfs} --reuse-cmdline`),
  )
  const thief = (words: string) => `node /opt/testbed/guestmemfs/testbed/programs/luo/session.ts ${words}`
  keep(
    'stolen',
    await host.run(
      `${thief(`steal ${THEIRS}:2`)}; (${SESSION} find guestmemfs:other >/run/thief 2>&1 &); sleep 5; cat /run/thief`,
    ),
  )
  keep('mounted', await phase('mount', () => host.run(MOUNT_MEMFDS)))
  keep('health', await host.run('sleep 1; guestmemfs status guestmemfs | grep health'))
  await host.run(`cd /mnt/guestmemfs; [ -e note ]; ! cat note 2>&1; ! truncate -s 1M note 2>&1
    getfattr --only-values -n guestmemfs.map note | grep -q '"kind":"lost"'; cat /proc/mounts | grep -q guestmemfs`)
  keep('resume', await phase('resume', () => host.run('! guestmemfs resume 2>&1')))
  // Its device state is lost and its RAM is not, and it was never started with the one and without the other.
  const bytes = await host.run(
    'stat -c %s /mnt/guestmemfs/guest-ram; [ $(head -c 0 /mnt/guestmemfs/guest-ram | wc -c) = 0 ]; guestmemfs vms',
  )
  keep('vms', bytes)
  await host.run(
    'guestmemfs thaw || true; cd /mnt/guestmemfs; : >note; echo again >note; [ $(cat note) = again ]',
  )
  keep('other', await phase('other', () => host.run(`! { ${MOUNT_OTHER}; } 2>&1`)))
  keep('new', await host.run(`${MOUNT_OTHER},new; ls -A /mnt/other | wc -l`))
  if (ram.ticks.length === 0) throw new Error('the guest never ran')
}
