/**
 * What must not lose memory without an error in a handover by LUO: next kernels that would drop it or panic,
 * a device and a session name that other processes have, too little memory; and after a jump, missing
 * sessions (kho-lose.ts).
 */
import { readFileSync } from 'node:fs'
import { FILES, guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { luoKernel } from '../kernel/luo.ts'
import { withOtherAbi } from '../kernel/other-abi.ts'
import { filesOf } from '../scenario/live-update.ts'
import { onlyVm, refusal } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { loseSessions, MOUNT_OTHER, SESSION, THEIRS } from './kho-lose.ts'
import { LUO_KERNEL, LUO_WORDS, MOUNT_MEMFDS } from './luo.ts'

const COMMON = 'console=ttyS0 root=/dev/vda panic=-1 oops=panic'

/** Images that each have another format; no test jumps, so none need boot. */
async function otherKernels(): Promise<Record<string, Uint8Array>> {
  const vmlinuz = readFileSync(await luoKernel())
  return {
    'other-kho': withOtherAbi(vmlinuz, 'kho-v4', 'kho-v9'),
    'other-luo': withOtherAbi(vmlinuz, 'luo-v5', 'luo-v9'),
    'other-memfd': withOtherAbi(vmlinuz, 'memfd-v2', 'memfd-v9'),
  }
}

/** A command, and the message that it must print. */
type Case = readonly [words: string, says: RegExp]

function kernels({ first, next }: Pick<Stage, 'first' | 'next'>): Record<string, Case> {
  const luo = filesOf(first)
  const lost = /would lose all memory: it cannot read what this one hands over/
  return {
    'no orchestrator': [
      `${filesOf(next)} --reuse-cmdline`,
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
  tier: 'testbed',
  kernel: LUO_KERNEL,
  nextKernel: 'trixie-backports',
  memory: '3G',
  append: LUO_WORDS,
  timeoutMs: 1500_000,
  files: async () => ({ guest: buildTinyGuest({ mebibytes: 32 }), ...(await otherKernels()) }),
  async run(stage) {
    const { host, first, phase, expect, guest } = stage
    const ram = guest('guest')
    const qemu = guestCommand({ name: 'guest', mebibytes: 128 })
    // The path of the running kernel's image: the images with another format have the same release.
    await host.run(`mkdir -p /boot; ln -s ${first.vmlinuz} /boot/vmlinuz-$(uname -r)`)
    await phase('mount', () => host.run(`${MOUNT_MEMFDS}; ${MOUNT_OTHER}`))
    await host.run('echo mine >/mnt/guestmemfs/note; echo theirs >/mnt/other/note')
    await host.start('run', `exec guestmemfs run --name guest -- ${qemu}`)
    await phase('guest runs', () => ram.waitForTicks(5))
    const before = await onlyVm(host)

    for (const [what, each] of Object.entries(kernels(stage))) await refused(stage, what, each)
    await refuseInUse(stage)
    await refuseHoles(stage)

    await ram.waitForTicks(2)
    const { state, pid } = await onlyVm(host)
    expect('guest', { state, pid }, { state: 'running', pid: before.pid })
    await loseSessions(stage)
  },
}

async function refused({ host, phase, expect }: Stage, what: string, [words, says]: Case): Promise<void> {
  const said = await phase(what, () => refusal(host, `guestmemfs live-update ${words}`))
  expect(what, said.split('\n').find((each) => says.test(each)) ?? said, says)
}

const good = ({ first }: Stage): string => `${filesOf(first)} --reuse-cmdline`

async function refuseInUse(stage: Stage): Promise<void> {
  const { host } = stage
  const busy = await host.start('busy', 'exec sleep 600 </dev/liveupdate')
  await refused(stage, 'busy device', [good(stage), /another process has \/dev\/liveupdate open/])
  await host.run(`kill ${busy.pid}`)
  const taken = await host.start('taken', `exec ${SESSION} create ${THEIRS}`)
  await taken.log.waitFor(/has /)
  await refused(stage, 'name taken', [good(stage), /another live update session has its name/])
  await host.run(`kill ${taken.pid}`)
}

/** A pool may be larger than free memory. Preserving allocates the holes of sparse files. */
async function refuseHoles(stage: Stage): Promise<void> {
  const { host } = stage
  await host.run(
    'mkdir -p /mnt/sparse; guestmemfs mount sparse /mnt/sparse -o size=2900M; touch /mnt/sparse/huge; truncate -s 2900M /mnt/sparse/huge',
  )
  await refused(stage, 'holes', [good(stage), /fills the holes of sparse files, which takes .* more/])
  await host.run('guestmemfs umount --discard sparse')
}
