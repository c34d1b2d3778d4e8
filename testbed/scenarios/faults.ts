/**
 * Seeded faults of the product: each looks as much like the emulator's as possible, and the verdict must be a
 * failure all the same. A run of one of these passes when its verdict is `failed`, and for the reason that
 * was seeded.
 */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest, LOAD_ADDRESS } from '../guests/tiny-guest.ts'
import { PRINT_STOPPED } from '../machine/evidence.ts'
import { HOLD } from '../scenario/mapping.ts'
import { QMP } from '../scenario/run-states.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'

const RAM = '/dev/shm/ram'
const RAM_FILE = '/mnt/guestmemfs/guest-ram'
/** A guest that runs ticks ten times a second. */
const STOPPED_MS = 5000
/** As a guest in a pool is started, but for the pool. */
const QEMU = `exec ${guestCommand({ name: 'guest', mebibytes: 64, ram: RAM, kernel: 'tiny-guest', serial: 'stdio' })}`
/** Where the guest's pattern is (guests/tiny-guest.ts): a page of it in the middle. */
const SPOILED_PAGE = 1024

/** The page that the guest's code and its tables are in. */
const CODE_BYTES = 4096
/**
 * The contents that replace the page: over and over an instruction that raises #UD, and an IDT of gates that
 * are not present, so that this or the next timer interrupt is a triple fault. Random bytes may loop without
 * an end.
 */
const UD2 = 'x0f0b'

const files = () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 8 }) })

export const faultMemory: Scenario = {
  about: 'a fault that is seeded: a page of a running guest changes. It must be called a failure',
  tier: 'testbed',
  mustFail: /^guest guest: \d+ bad words/,
  files,
  async run({ host, phase, guest }) {
    await host.start('guest', QEMU)
    await phase('guest runs', () => guest('guest').waitForTicks(5))
    await host.run(`dd if=/dev/zero of=${RAM} bs=4096 seek=${SPOILED_PAGE} count=1 conv=notrunc status=none`)
    await guest('guest').waitForTicks(5)
  },
}

export const faultCode: Scenario = {
  about:
    'a fault that is seeded: a guest in a pool loses the page of its code. Its stop must be called a failure',
  tier: 'testbed',
  mustFail: /^guest did not print /,
  files,
  async run(stage) {
    await startInPool(stage)
    const { log } = await stage.host.start(
      'spoil',
      `exec ${HOLD} ${RAM_FILE} ${CODE_BYTES} ${UD2} ${LOAD_ADDRESS}`,
    )
    await log.waitFor(/holding/)
    await expectStopped(stage)
  },
}

export const faultProcessor: Scenario = {
  about:
    "no fault of the product: a processor of a guest in a pool leaves its code. It must be called the emulator's",
  tier: 'testbed',
  mustBeExcused: /^the processor of guest guest left its code .* \(shutdown\)/,
  files,
  async run(stage) {
    await startInPool(stage)
    // The guest has no gate for it: a triple fault, with every byte of its code in place.
    await stage.host.run(`${QMP} inject-nmi guest`)
    await expectStopped(stage)
  },
}

async function startInPool({ host, phase, guest }: Stage): Promise<void> {
  await host.run('mkdir -p /mnt/guestmemfs; guestmemfs mount guestmemfs /mnt/guestmemfs -o size=128M')
  await host.run(`touch ${RAM_FILE}; truncate -s 64M ${RAM_FILE}`)
  const qemu = guestCommand({ name: 'guest', mebibytes: 64, kernel: 'tiny-guest' })
  await host.start('run', `exec guestmemfs run --name guest -- ${qemu}`)
  await phase('guest runs', () => guest('guest').waitForTicks(5))
}

/** Throws, as the wait of a scenario for its guest does, when the guest's RAM is as the fault left it. */
async function expectStopped({ host, phase, guest }: Stage): Promise<void> {
  await phase('guest stops', () =>
    host.run(
      `said=
      for try in $(seq 20); do
        said=$(${PRINT_STOPPED})
        if grep '"state":"shutdown"' <<<"$said"; then break; fi
        [ $try -lt 20 ] || { echo "$said"; false; }; sleep 0.1; done`,
    ),
  )
  await guest('guest').waitForTicks(5, STOPPED_MS)
}

export const faultRestart: Scenario = {
  about: 'a fault that is seeded: a guest is started again instead of going on. It must be called a failure',
  tier: 'testbed',
  mustFail: /^guest guest: tick 1 where tick \d+ was due/,
  files,
  async run({ host, phase, guest }) {
    const { pid } = await host.start('guest', QEMU)
    await phase('guest runs', () => guest('guest').waitForTicks(5))
    await host.run(`kill -KILL -${pid}`)
    await guest('guest').log.waitForEnd(60_000)
    await host.start('guest', QEMU)
    await phase('guest runs again', () => guest('guest').waitForTicks(5))
  },
}

export const faultPanic: Scenario = {
  about: 'a fault that is seeded: a jump with a wrong command line. The panic must be called a failure',
  tier: 'testbed',
  mustFail: /^the host failed: .*Kernel panic - not syncing: VFS: Unable to mount root/,
  files,
  async run({ host, next, phase, guest }) {
    await host.start('guest', QEMU)
    await phase('guest runs', () => guest('guest').waitForTicks(5))
    await host.run(`kexec -s -l ${next.vmlinuz} --command-line='console=ttyS0 root=/dev/nowhere panic=-1'`)
    await phase('jump', () => host.jump('sync; kexec -e'))
  },
}
