/**
 * A fault at each step of an update of the kernel. Before the jump every one of them rolls all of it back:
 * each guest runs on in the QEMU that it had, and its ticks go on. After it, a guest that cannot go on holds
 * back no other, and goes on once its host has what it lacks.
 */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuests } from '../guests/tiny-guest.ts'
import { lastReport, liveUpdate, WHEN_LOADED } from '../scenario/live-update.ts'
import { expectClean, type ListedVm, poolStatus, printed, refusal } from '../scenario/pool.ts'
import { QMP } from '../scenario/run-states.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT, MOUNT } from './carve-out.ts'

const SLOW_MS = 900_000
const [DISK, STOP, OWN_QEMU] = ['/var/lib/disk', '/var/lib/stop', '/usr/bin/qemu-system-own']
/** Two go on after the jump; of the others the next boot takes something away. */
const GUESTS = ['runs', 'plain', 'disk', 'own', 'hooked'] as const
const FAIL_CALL = '/opt/testbed/guestmemfs/test/vm/fail-call.ts'
/** reboot(2) with LINUX_REBOOT_CMD_KEXEC: whatever a fault does not stop ends here. */
const NO_JUMP = 'reboot 1163412803 0 22'

interface Fault {
  readonly what: string
  /** A rule of `fail-call.ts`. */
  readonly call?: string
  /** Runs beside the update; `plain`: the process of the QEMU of that guest. */
  readonly beside?: (plain: number) => string
  /** Of the update. */
  readonly words?: string
  readonly says: RegExp
}

/** For each step of each guest, of an update and of a resumption. */
const TIMEOUT = '--timeout 3m'
/** A QEMU is stopped on purpose, for as long as something else takes. */
const PATIENT = '--patience 5m'

/** In the order of the steps. */
const FAULTS: readonly Fault[] = [
  {
    what: 'the load',
    call: 'syscall 320 1 129',
    says: /this kernel does not load .*: it rejects the key of the signature/,
  },
  {
    what: 'the record of the update',
    call: 'setxattr trusted.guestmemfs.update 1 5',
    says: /recording the update in \/mnt\/guestmemfs failed: EIO/,
  },
  {
    what: 'the record of the first guest',
    call: 'lsetxattr trusted.guestmemfs.vm 1 5',
    says: /VM \w+ could not be recorded on .*: EIO/,
  },
  {
    what: 'the record of a guest that is saved',
    call: 'lsetxattr trusted.guestmemfs.vm 8 5',
    says: /VM \w+ could not be recorded on .*: EIO/,
  },
  {
    what: 'a QEMU that hangs',
    beside: (plain) => `kill -STOP ${plain}; sleep 90; kill -CONT ${plain}`,
    words: '--patience 30s',
    says: /VM plain: .*within 30 s/,
  },
  {
    what: 'the freeze',
    call: 'setxattr trusted.guestmemfs.frozen 1 28',
    says: /freezing pool 'guestmemfs' failed: ENOSPC/,
  },
  {
    what: 'a guest that is started meanwhile',
    beside: (plain) => `kill -STOP ${plain}
      (${startCommand('late')}) &
      until [ -S /run/guestmemfs/vm/late/qmp ]; do sleep 0.2; done
      kill -CONT ${plain}; wait`,
    words: PATIENT,
    says: /VM late was started while the update was under way/,
  },
  {
    what: 'the times in the record',
    call: 'setxattr trusted.guestmemfs.update 2 5',
    says: /recording the update in \/mnt\/guestmemfs failed: EIO/,
  },
  {
    what: 'an abort',
    beside: (plain) =>
      `kill -STOP ${plain}; guestmemfs live-update --abort & sleep 20; kill -CONT ${plain}; wait`,
    words: PATIENT,
    says: /stopped by SIGINT/,
  },
  { what: 'the jump', says: /the kernel refused the jump: EINVAL/ },
]

function startCommand(name: string): string {
  const options = {
    disk: { words: `-drive file=${DISK},format=raw,if=none,id=disk -device virtio-blk-pci,drive=disk` },
    runs: { accelerator: 'kvm' as const },
  }[name as 'disk' | 'runs']
  const qemu = guestCommand({ name, mebibytes: 32, accelerator: 'tcg', ...options })
  const before = name === 'hooked' ? `--before '[ ! -e ${STOP} ]'` : ''
  return `exec guestmemfs run --name ${name} ${before} -- ${name === 'own' ? qemu.replace(/^\S+/, OWN_QEMU) : qemu}`
}

export const hostFaults: Scenario = {
  about:
    'a fault at each step of an update of the kernel: before the jump all is rolled back, after it none holds back another',
  tier: 'long',
  memory: '4G',
  append: CARVE_OUT,
  timeoutMs: 3600_000,
  files: () => buildTinyGuests([...GUESTS, 'late'], { mebibytes: 8, strideBytes: 128, pace: 10 }),
  async run(stage) {
    const { host, next, phase, guest } = stage
    await phase('mount', () =>
      host.run(`mkdir -p /mnt/guestmemfs; ${MOUNT}; truncate -s 8M ${DISK}
        cp $(command -v qemu-system-x86_64) ${OWN_QEMU}; sync`),
    )
    for (const name of GUESTS) await host.start(`run-${name}`, startCommand(name))
    await phase('guests run', () => ticks(stage, 3))
    const before = await guestsOf(stage)
    for (const fault of FAULTS) await failBefore(stage, fault, before)
    await killed(stage, before)
    await failAfter(stage, next.release)
    await phase('all go on', async () => {
      await host.run(`mv ${DISK}.away ${DISK}; mv ${OWN_QEMU}.away ${OWN_QEMU}; rm ${STOP}`)
      await host.run(`guestmemfs resume ${TIMEOUT}`, { timeoutMs: SLOW_MS })
      await Promise.all(GUESTS.map((name) => guest(name).waitForTicks(5, SLOW_MS)))
    })
    await expectClean(stage)
  },
}

const ticks = ({ guest }: Stage, count: number): Promise<unknown> =>
  Promise.all(GUESTS.map((name) => guest(name).waitForTicks(count, SLOW_MS)))

type GuestBefore = Pick<ListedVm, 'name' | 'state' | 'pid'>

async function guestsOf({ host }: Stage): Promise<readonly GuestBefore[]> {
  const { vms } = await printed(host, 'vms')
  return vms.map(({ name, state, pid }) => ({ name, state, pid }))
}

const failing = (command: string, calls: readonly string[]): string =>
  `FAIL_CALLS='${calls.join('\n')}' NODE_OPTIONS="$NODE_OPTIONS --import=${FAIL_CALL}" ${command}`

async function failBefore(stage: Stage, fault: Fault, before: readonly GuestBefore[]): Promise<void> {
  const { host, next, phase, expect } = stage
  const { what, call, beside, words = '', says } = fault
  const plain = before.find(({ name }) => name === 'plain')?.pid ?? 0
  const calls = call === undefined ? [NO_JUMP] : [call, NO_JUMP]
  const said = await phase(what, async () => {
    const other =
      beside && (await host.start(`beside ${what}`.replaceAll(' ', '-'), `${WHEN_LOADED}; ${beside(plain)}`))
    // The last one of two equal options counts.
    const command = failing(`${liveUpdate(next)} ${TIMEOUT} ${words}`, calls)
    const answer = await refusal(host, command, { timeoutMs: SLOW_MS })
    if (what === 'a guest that is started meanwhile') await endLate(stage)
    await other?.log.waitForEnd(SLOW_MS)
    return answer
  })
  expect(what, said.split('\n').find((line) => says.test(line)) ?? said, says)
  await expectRolledBack(stage, what, before)
}

/** It is none of those that the scenario began with. */
const endLate = ({ host }: Stage): Promise<string> =>
  host.run(
    `${QMP} quit late; while guestmemfs vms --json | grep -q '"late"'; do sleep 0.5; done; rm -f /mnt/guestmemfs/late-ram`,
  )

/** SIGKILL in the middle of the saves: the next command undoes the rest. */
async function killed(stage: Stage, before: readonly GuestBefore[]): Promise<void> {
  const { host, next, phase } = stage
  await phase('killed', async () => {
    const command = failing(`exec ${liveUpdate(next)} ${TIMEOUT}`, [NO_JUMP])
    const { pid, log } = await host.start('killed', command)
    await host.run(
      `until ls /mnt/guestmemfs/*.vmstate >/dev/null 2>&1; do sleep 0.05; done; kill -KILL -${pid}`,
      {
        timeoutMs: SLOW_MS,
      },
    )
    await log.waitForEnd(60_000)
    await host.run(`guestmemfs live-update --abort ${TIMEOUT}`, { timeoutMs: SLOW_MS })
  })
  await expectRolledBack(stage, 'killed', before)
}

/** As if there had been no update. */
async function expectRolledBack(stage: Stage, what: string, before: readonly GuestBefore[]): Promise<void> {
  const { host, expect } = stage
  expect(`guests after ${what}`, await guestsOf(stage), before)
  const { identity } = await poolStatus(host)
  const found = await host.run(`cat /sys/kernel/kexec_loaded
    ls /mnt/guestmemfs/*.vmstate 2>/dev/null || echo no state
    getfattr --only-values -n trusted.guestmemfs.update /mnt/guestmemfs 2>/dev/null || echo no record`)
  expect(`host after ${what}`, [identity.frozen, ...found.split('\n')], [false, '0', 'no state', 'no record'])
  await ticks(stage, 2)
}

/** The next boot takes away what three guests need. */
async function failAfter(stage: Stage, release: string): Promise<void> {
  const { host, next, phase, keep, expect, guest } = stage
  await host.atBoot(`mkdir -p /mnt/guestmemfs; ${MOUNT}
    mv ${DISK} ${DISK}.away; mv ${OWN_QEMU} ${OWN_QEMU}.away; touch ${STOP}
    guestmemfs resume ${TIMEOUT} || echo "resume ended with $?"`)
  await phase('live update', () => host.jump(`${liveUpdate(next)} ${TIMEOUT}`, { timeoutMs: SLOW_MS }))
  await phase('the others run on', () =>
    Promise.all(['runs', 'plain'].map((name) => guest(name).waitForTicks(5, SLOW_MS))),
  )
  await host.log('at-boot').waitFor(/^resume ended with 1$/m, { timeoutMs: SLOW_MS })
  const report = await lastReport(host)
  keep('report', report)
  expect('kernel', report.kernel?.after, release)
  const lines = report.vms.map(({ name, outcome, problem }) => `${name}: ${outcome}, ${problem}`)
  for (const [name, wanted] of Object.entries({
    runs: /^runs: updated, null$/,
    plain: /^plain: updated, null$/,
    disk: /^disk: saved, .*\/var\/lib\/disk/,
    own: /^own: saved, .*qemu-system-own/,
    hooked: /^hooked: saved, .*--before .* ended with status 1/,
  }))
    expect(name, lines.find((line) => line.startsWith(`${name}:`)) ?? '', wanted)
}
