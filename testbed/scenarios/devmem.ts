/**
 * The seed's usage section on reserved memory, as the operator types it: the window is read from the file's
 * xattr, and QEMU maps it. It also asserts what the server refuses, and how the kernel maps the memory;
 * refusals before the first mount and a deleted file are in devmem-limits.ts.
 */
import assert from 'node:assert/strict'
import { seedCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { kexecByHand, restoreSeed, saveSeed, startSeed } from '../scenario/by-hand.ts'
import { expectFrozen, expectThawed, mapOf, refusal } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { RESERVED } from './carve-out.ts'
import { deleteSecret, NOT_ALL_RAM, refuseLockedDown, refuseRanges } from './devmem-limits.ts'
import { refuseTakeover } from './refuse-pools.ts'

const MOUNT = 'guestmemfs mount guestmemfs /mnt/guestmemfs -o store=devmem,region=0x100000000'
/** A byte of the image's header: the last 16 MiB of the range are the pool's metadata. */
const FLIP_HEADER = `at=$((0x13f0000c8))
byte=$(dd if=/dev/mem bs=1 skip=$at count=1 status=none | od -An -tu1)
printf "\\\\$(printf %o $((byte ^ 16)))" | dd of=/dev/mem bs=1 seek=$at conv=notrunc status=none`
const MIB = 2 ** 20
const GIB = 2 ** 30

export const devmem: Scenario = {
  about: 'the seed, typed, on reserved memory: a KVM guest in a window of /dev/mem survives a real kexec',
  tier: 'testbed',
  memory: '4G',
  append: `${RESERVED} ${NOT_ALL_RAM}`,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run(stage) {
    const { host, phase, expect } = stage
    await host.run('mkdir -p /mnt/guestmemfs')
    await refuseRanges(stage)
    await phase('mount', () => host.run(MOUNT))
    await phase('a deleted secret', () => deleteSecret(stage))
    await phase('touch, truncate', () =>
      host.run('touch /mnt/guestmemfs/guest-ram && truncate -s 500M /mnt/guestmemfs/guest-ram'),
    )
    await expectMap(stage)
    const direct = await phase('without the window', () => refusal(host, seedCommand()))
    // The server must refuse a mapping of the file itself, which would be a copy.
    expect('mapped without the window', direct, /No such device/)

    const pid = await startSeed(stage, await windowed(stage))
    await phase('write-back', () => checkCaching(stage, pid))
    const format = 'guestmemfs format other --store devmem --region 0x100000000 --force'
    await refuseTakeover(stage, { mount: MOUNT, format, flip: FLIP_HEADER })
    await saveSeed(stage)
    await phase('freeze', () => host.run('guestmemfs freeze'))
    await kexecByHand(stage, `mkdir -p /mnt/guestmemfs; ${MOUNT}`)

    await phase('mount again', () => host.log('at-boot').waitFor(/on \/mnt\/guestmemfs, .* \(found again\)/))
    await expectFrozen(stage, 'devmem')
    await restoreSeed(stage, await windowed(stage))
    await expectThawed(stage)
    await expectDoctor(stage)
    await refuseLockedDown(stage, MOUNT)
  },
}

/** The seed's line with the file's window for its RAM. */
async function windowed({ host }: Stage): Promise<string> {
  const { path, offsetBytes } = await mapOf(host, 'guest-ram')
  return `exec ${seedCommand({ memPath: `${path},offset=${offsetBytes}` })}`
}

async function expectMap({ host, expect }: Stage): Promise<void> {
  const { offsetBytes, ...map } = await mapOf(host, 'guest-ram')
  expect('map', map, { kind: 'window', path: '/dev/mem', sizeBytes: 500 * MIB, alignBytes: 2 * MIB })
  const isInRange = offsetBytes >= 4 * GIB && offsetBytes + 500 * MIB <= 5 * GIB
  assert.ok(isInRange, `the window begins at ${offsetBytes}, outside the reserved range`)
}

/** RAM that is mapped uncached would be far too slow, and no other assertion would show it. */
async function checkCaching({ host, expect }: Stage, pid: number): Promise<void> {
  const list = await host.run('cat /sys/kernel/debug/x86/pat_memtype_list')
  const window = await host.run(`grep -m1 /dev/mem /proc/${pid}/maps`)
  const offset = Number.parseInt(window.split(/\s+/)[2] as string, 16)
  const line = list.split('\n').find((each) => each.includes(`0x${offset.toString(16).padStart(16, '0')}-`))
  expect('write-back', line ?? `no line for ${window}`, /write-back$/)
}

async function expectDoctor({ host, expect }: Stage): Promise<void> {
  // Its exit status is not 0 where anything is missing, such as QEMU's package.
  const doctor = await host.run('guestmemfs doctor || true')
  expect(
    'doctor',
    doctor
      .split('\n')
      .flatMap((line) => /^(\S+ +(?:reserved \S+ at \S+|carve-out \S+)) /.exec(line)?.[1] ?? []),
    [
      'ok       reserved 1G at 4G',
      'ok       reserved 128M at 6080M',
      'ok       carve-out KASLR',
      'ok       carve-out processes',
    ],
  )
}
