/**
 * Many guests: five of different sizes, one of them Linux with a disk and a network card, beside files of
 * every kind, through three live updates of the host's kernel in a row; and no new file shows the contents of
 * a deleted one.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { buildLinuxGuest } from '../guests/linux-guest.ts'
import { FILES, guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import type { GuestLog } from '../scenario/guest-log.ts'
import { updateOnce } from '../scenario/live-update.ts'
import { HOLD } from '../scenario/mapping.ts'
import { expectClean } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT } from './carve-out.ts'
import { countNames, differences, MAKE_TREE, TELL_TREE } from './tree.ts'

const MIB = 2 ** 20
const UPDATES = 3
/** MiB of RAM, by name; each has another pattern. */
const TINY = { small: 32, odd: 66, middle: 128, large: 256 } as const
const LINUX_MIB = 256
const SECRET_MIB = 64
const MOUNT = 'mkdir -p /mnt/guestmemfs; guestmemfs mount guestmemfs /mnt/guestmemfs -o store=dax'

/**
 * The disk is a file of the host, as on an ordinary host. The guest notifies both devices by an I/O port: by
 * memory-mapped I/O this guest ended with KVM_INTERNAL_ERROR_DELIVERY_EV at its first store to a device after
 * an update, where KVM runs on SVM that QEMU emulates. The cause, and whether it occurs on a real processor,
 * is not known.
 */
const BY_PORT = 'disable-modern=on,disable-legacy=off'
const LINUX_WORDS = `-initrd ${FILES}/linux-initrd -append 'console=ttyS0 quiet' \\
  -drive file=/var/lib/linux.disk,format=raw,if=none,id=disk -device virtio-blk-pci,drive=disk,${BY_PORT} \\
  -netdev user,id=cable -device virtio-net-pci,netdev=cable,romfile=,${BY_PORT}`

export const many: Scenario = {
  about: 'five guests, files of every kind and a deleted secret, through three live updates in a row',
  tier: 'long',
  memory: '4G',
  append: CARVE_OUT,
  timeoutMs: 2400_000,
  files: async () => ({ ...(await linuxFiles()), ...tinyFiles() }),
  async run(stage) {
    const { host, phase, keep, expect } = stage
    await phase('mount', () => host.run(MOUNT))
    const tree = await phase('files', () => host.run(`${MAKE_TREE}${TELL_TREE}`))
    keep('files', countNames(tree))
    await host.run('truncate -s 1M /var/lib/linux.disk')
    const guests = await phase('guests run', () => startGuests(stage))
    await host.atBoot(`${MOUNT}; guestmemfs resume`)
    for (let update = 1; update <= UPDATES; update++) {
      // The kexec is between the deletion and the next use, perhaps during the zeroing.
      await phase(`secret ${update}`, () => deleteSecret(stage, update))
      await phase(`update ${update}`, () => updateOnce(stage, guests, `update ${update}`))
      expect(`files that differ after update ${update}`, differences(tree, await host.run(TELL_TREE)), [])
      await phase(`nothing seen ${update}`, () => seeNothing(stage, update))
    }
    await expectClean(stage)
    const complaints = /^.*(?:BUG|Oops|soft lockup|Call Trace|I\/O error).*$/gm
    expect("the Linux guest's complaints", host.log('linux').text.match(complaints) ?? [], [])
  },
}

function tinyFiles(): Record<string, Uint8Array> {
  const names = Object.keys(TINY)
  return Object.fromEntries(
    names.map((name, index) => [name, buildTinyGuest({ mebibytes: 8, seed: index + 1, pace: 10 })]),
  )
}

async function linuxFiles(): Promise<Record<string, Uint8Array>> {
  const folder = mkdtempSync(join(tmpdir(), 'linux-guest-'))
  try {
    const { kernel, initrd } = await buildLinuxGuest(folder, { devices: true })
    return { linux: readFileSync(kernel), 'linux-initrd': readFileSync(initrd) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function startGuests({ host, guest }: Stage): Promise<GuestLog[]> {
  const choices = [
    ...Object.entries(TINY).map(([name, mebibytes]) => ({ name, mebibytes })),
    { name: 'linux', mebibytes: LINUX_MIB, words: LINUX_WORDS },
  ]
  for (const choice of choices)
    await host.start(
      `run-${choice.name}`,
      `exec guestmemfs run --name ${choice.name} -- ${guestCommand(choice)}`,
    )
  const guests = choices.map(({ name }) => guest(name))
  await Promise.all(guests.map((each) => each.waitForTicks(3)))
  return guests
}

/** Guest RAM full of a pattern, and an ordinary file: both deleted right before the update. */
async function deleteSecret({ host }: Stage, seed: number): Promise<void> {
  const bytes = SECRET_MIB * MIB
  await host.run(`cd /mnt/guestmemfs; touch secret; truncate -s ${bytes} secret`)
  const { pid, log } = await host.start(
    `holder-${seed}`,
    `exec ${HOLD} /mnt/guestmemfs/secret ${bytes} ${seed}`,
  )
  await log.waitFor(/holding \d+\n$/)
  await host.run(`kill -KILL ${pid}; cd /mnt/guestmemfs; rm secret
    head -c 1500000 /dev/zero | tr '\\0' x >note; rm note`)
}

/**
 * New files over the same blocks are zero: guest RAM as its guest maps it, and an ordinary file as it is
 * read.
 */
async function seeNothing({ host, expect }: Stage, update: number): Promise<void> {
  const bytes = 2 * SECRET_MIB * MIB
  await host.run(`cd /mnt/guestmemfs; touch fresh; truncate -s ${bytes} fresh
    touch note; truncate -s 1500000 note`)
  const left = await host.run("tr -d '\\0' </mnt/guestmemfs/note | wc -c; rm /mnt/guestmemfs/note")
  expect(`bytes of a new file that are not zero, ${update}`, left, '0')
  const { pid, log } = await host.start(`looker-${update}`, `exec ${HOLD} /mnt/guestmemfs/fresh ${bytes}`)
  const [, seen] = await log.waitFor(/holding (\d+)\n$/)
  expect(`new guest RAM is zero, ${update}`, Number(seen), crc32(new Uint8Array(bytes)))
  await host.run(`kill -KILL ${pid}; rm /mnt/guestmemfs/fresh`)
}
