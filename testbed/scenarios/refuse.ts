/**
 * What must never lose a guest: updates that are refused before any guest is paused, one that fails after all
 * guests were, and a guest that goes on through all of it. One boot; nothing here ends in a kexec.
 */
import assert from 'node:assert/strict'
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { filesOf, WHEN_LOADED } from '../scenario/live-update.ts'
import { type ListedVm, onlyVm, refusal } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT, MOUNT } from './carve-out.ts'
import { refuseImages, refuseRegions, refuseTakeover, refuseUses } from './refuse-pools.ts'

const QEMU = guestCommand({ name: 'guest', mebibytes: 128, kernel: 'tiny-guest', machine: 'q35' })

const BLACKLIST = 'modprobe.blacklist=kmem'
const COMMON = 'console=ttyS0 root=/dev/vda'
/** Unloads the next kernel as soon as it is loaded. */
const UNLOAD = `${WHEN_LOADED}; kexec -s -u`

/** As a kernel that was started by Secure Boot does by itself; it stays until the next boot. */
const LOCK_DOWN = `mountpoint -q /sys/kernel/security || mount -t securityfs securityfs /sys/kernel/security
  echo integrity >/sys/kernel/security/lockdown`
/** An image whose signature, if it had one, is no longer valid. */
const UNSIGNED = '/run/unsigned'

/** A command, and its messages, each in a line of its own. */
type Case = readonly [words: string, ...says: RegExp[]]

function cases({ next }: Pick<Stage, 'next'>): Record<string, Case> {
  const append = (words: string) => `${filesOf(next)} --append '${COMMON} ${words}'`
  return {
    'no carve-out, no blacklist': [
      append(''),
      /does not set it aside: give it memmap=1G%4G-1\+0xefffffff/,
      /add modprobe\.blacklist=kmem/,
    ],
    'another size': [append(`memmap=512M%4G-1+0xefffffff ${BLACKLIST}`), /sets aside 512M at 4G instead/],
    'another place': [append(`memmap=1G%4608M-1+0xefffffff ${BLACKLIST}`), /sets aside .* instead/],
    'another type': [append(`memmap=1G$4G ${BLACKLIST}`), /does not set it aside/],
    // KASLR stops at the first word, and so does not read the limit.
    'KASLR unsafe': [
      append(`memmap=exactmap,2G@0,1G@4G,1G%4G-1+0xefffffff ${BLACKLIST}`),
      /may put itself into the carve-out at 4G \(KASLR\): add memmap=4G%0-0xeffffffe\+1/,
    ],
    'no files, no systemd': [
      '--kernel /nowhere --initrd /nowhere --via systemctl',
      /kernel \/nowhere is missing/,
      /initrd \/nowhere is missing/,
      /needs systemd, which does not run here/,
    ],
    'not a kernel': ['--kernel /etc/passwd', /is not a Linux kernel image/],
  }
}

export const refuse: Scenario = {
  about:
    'updates that would lose guests are refused before one is paused; one that fails late is rolled back',
  tier: 'testbed',
  memory: '4G',
  timeoutMs: 1500_000,
  append: CARVE_OUT,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run(stage) {
    const { host, next, phase, guest } = stage
    await host.run('mkdir -p /mnt/guestmemfs')
    await refuseRegions(stage)
    await host.run(MOUNT)
    await host.start('run', `exec guestmemfs run --name guest -- ${QEMU}`)
    await phase('guest runs', () => guest('guest').waitForTicks(5))
    const vm = await onlyVm(host)

    for (const [what, each] of Object.entries(cases(stage))) await refused(stage, what, each)
    await expectRunning(stage, vm)

    const good = filesOf(next)
    await refuseUses(stage, `guestmemfs live-update ${good}`)
    await refuseTakeover(stage, { mount: MOUNT, format: 'guestmemfs format guestmemfs --force' })
    await expectRunning(stage, vm)
    await host.run('guestmemfs freeze')
    await refused(stage, 'frozen', [good, /is frozen/])
    await host.run('guestmemfs thaw')

    // The kernel is loaded, the guest saved, the pool frozen; and then there is no kernel to jump into.
    await host.start('unload', UNLOAD)
    await refused(stage, 'no jump', [good, /refused the jump: EINVAL/, /rolled-back/])
    await expectRunning(stage, vm)
    await host.run('touch /mnt/guestmemfs/thawed; ! ls /mnt/guestmemfs/*.vmstate')

    await host.run(LOCK_DOWN)
    await host.run(`cp ${next.vmlinuz} ${UNSIGNED}; printf x >>${UNSIGNED}`)
    const unsigned = `--kernel ${UNSIGNED} --initrd ${next.initramfs}`
    await refused(stage, 'locked down', [unsigned, /does not load \/run\/unsigned: it is locked down/])
    await expectRunning(stage, vm)
    await host.run('echo 1 >/proc/sys/kernel/kexec_load_disabled')
    await refused(stage, 'disabled', [good, /kexec_load_disabled/])
    await expectRunning(stage, vm)

    await host.run(`kill -KILL ${vm.pid}`)
    await refuseImages(stage)
  },
}

/** The update fails with all of these messages. */
async function refused({ host, phase, expect }: Stage, what: string, [words, ...says]: Case): Promise<void> {
  const said = await phase(what, () => refusal(host, `guestmemfs live-update ${words}`))
  for (const [index, wanted] of says.entries()) {
    const line = said.split('\n').find((each) => wanted.test(each)) ?? said
    expect(says.length > 1 ? `${what}, ${index + 1}` : what, line, wanted)
  }
}

/** In the same QEMU as before. */
async function expectRunning({ host, guest }: Stage, before: ListedVm): Promise<void> {
  await guest('guest').waitForTicks(2)
  const { state, pid } = await onlyVm(host)
  assert.deepEqual({ state, pid }, { state: 'running', pid: before.pid })
}
