/**
 * The part of `refuse` that is about pools: regions with data of others, a region that is in use, damaged
 * images. Each command must end with one line, and leave everything as it was.
 */
import assert from 'node:assert/strict'
import { guestCommand } from '../guests/qemu.ts'
import { HOLD } from '../scenario/mapping.ts'
import { keeperPid } from '../scenario/pool.ts'
import type { Stage } from '../scenario/scenario.ts'
import { MOUNT } from './carve-out.ts'

const FLIP = 'node /opt/testbed/guestmemfs/testbed/programs/memory/flip.ts'
const PLANT = 'node /opt/testbed/guestmemfs/testbed/programs/memory/plant.ts'
const LIST = 'ls -lnR --time-style=full-iso /mnt/guestmemfs'

/**
 * All that a refused request could have changed: devices and what they map, mounts, files, the loaded kernel,
 * QEMUs.
 */
const STATE = `
  for device in $(ls -d /sys/bus/dax/devices/* 2>/dev/null); do
    echo "\${device##*/} $(readlink "$device/driver" || echo unbound)" $(cat "$device/size" "$device"/mapping*/start 2>/dev/null)
  done
  grep guestmemfs /proc/mounts || echo not mounted
  ! mountpoint -q /mnt/guestmemfs || ${LIST}
  cat /sys/kernel/kexec_loaded
  pgrep qemu-system || echo no guest`

export interface Refusal {
  readonly what: string
  readonly command: string
  readonly says: RegExp
}

/** Lines beside the reason: warnings, and that the guests go on. */
const BESIDE = /^guestmemfs: (?:warning: |nothing was changed)/

/** The command fails with one line that matches, and has changed nothing. */
export async function refuse(
  { host, phase, expect }: Stage,
  { what, command, says }: Refusal,
): Promise<void> {
  const before = await host.run(STATE)
  const script = `code=0; said=$({ ${command}; } 2>&1 >/dev/null </dev/null) || code=$?; printf '%s\\n' "$code" "$said"`
  const answer = await phase(what, () => host.run(script))
  const [code, ...said] = answer.split('\n')
  const [line = '', ...more] = said.filter((each) => !BESIDE.test(each))
  assert.ok(Number(code) > 0 && Number(code) < 128, `${what}: ended with ${answer}`)
  expect(what, line, says)
  assert.deepEqual(more, [], `${what}: more than one line`)
  assert.equal(await host.run(STATE), before, `${what}: something changed`)
}

/** As after a boot without the blacklist, except that its memory stays offline, and can be released. */
const CLAIM_BY_KMEM = `
  echo offline >/sys/devices/system/memory/auto_online_blocks
  [ ! -e /sys/bus/dax/devices/dax0.0/driver ] || echo dax0.0 >/sys/bus/dax/devices/dax0.0/driver/unbind
  modprobe kmem
  [ "$(basename "$(readlink /sys/bus/dax/devices/dax0.0/driver)")" = kmem ]`

/** A process maps the device that the kernel made for the whole region. */
async function refuseHeld(stage: Stage): Promise<void> {
  const { host } = stage
  await host.run(
    '[ -e /sys/bus/dax/devices/dax0.0/driver ] || echo dax0.0 >/sys/bus/dax/drivers/device_dax/new_id',
  )
  const { pid, log } = await host.start('holder', `exec ${HOLD} /dev/dax0.0 2097152`)
  await log.waitFor(/holding \d+\n$/)
  await refuse(stage, { what: 'device busy', command: MOUNT, says: /in use by \S+ \(process \d+\)/ })
  await host.run(`kill -KILL ${pid}; while [ -e /proc/${pid} ]; do sleep 0.1; done`)
}

/** Before the first mount. The region is empty again afterwards. */
export async function refuseRegions(stage: Stage): Promise<void> {
  const { host } = stage
  await refuse(stage, {
    what: 'no such region',
    command: `${MOUNT},region=dax9.0`,
    says: /there is no region dax9\.0: there are 0x[0-9a-f]+ \(dax0\.0\)/,
  })

  await refuseHeld(stage)
  await host.run(CLAIM_BY_KMEM)
  const claimed = /ordinary RAM now, claimed by kmem: boot with modprobe\.blacklist=kmem/
  await refuse(stage, { what: 'claimed by kmem', command: MOUNT, says: claimed })
  await host.run('rmmod kmem')

  await host.run(`${FLIP} 4194304`)
  const foreign = /it holds data of another program, at 0x100400000\b.*--force/
  await refuse(stage, { what: 'foreign data, mount', command: MOUNT, says: foreign })
  await refuse(stage, {
    what: 'foreign data, format',
    command: 'guestmemfs format guestmemfs',
    says: foreign,
  })
  await host.run(`${FLIP} 4194304`)

  await host.run(`${PLANT} 503316480`)
  const moved =
    /holds an image at 0x11e000000, made when the region had another size or place: boot with the memmap= of then/
  await refuse(stage, { what: 'region of another size', command: MOUNT, says: moved })
  await host.run(`${PLANT} 503316480 away`)
}

/** While a guest runs in it. `update`: a live update that the preflight would allow. */
export async function refuseUses(stage: Stage, update: string): Promise<void> {
  const inUse = /region dax0\.0 is in use by another pool/
  await refuse(stage, {
    what: 'mounted twice',
    command: 'mkdir -p /mnt/other; guestmemfs mount other /mnt/other -o store=dax',
    says: inUse,
  })
  await refuse(stage, {
    what: 'format while mounted',
    command: 'guestmemfs format guestmemfs --force',
    says: inUse,
  })
  const odd = guestCommand({ name: 'odd', mebibytes: 3, ram: '/mnt/guestmemfs/odd', kernel: 'tiny-guest' })
  await refuse(stage, {
    what: 'RAM of 3 MiB',
    command: `guestmemfs run --name odd -- ${odd}`,
    says: /size=3M is not a multiple of 2 MiB/,
  })
  await refuse(stage, {
    what: 'update of a damaged image',
    command: `${FLIP} metadata+200; code=0; ${update} || code=$?; ${FLIP} metadata+200; (exit $code)`,
    says: /image of pool 'guestmemfs' is not sound: .*checksum/,
  })
}

/**
 * The keeper dies while a guest runs. A refused takeover, and a refused mount or format of the region, leave
 * the server as it was: it lists the files. `flip`: changes the image's header, and undoes it.
 */
export async function refuseTakeover(
  stage: Stage,
  { mount, format, flip = `${FLIP} metadata+200` }: { mount: string; format: string; flip?: string },
): Promise<void> {
  const { host, expect } = stage
  await host.run(`kill -KILL ${await keeperPid(host)}; sleep 0.3`)
  await refuse(stage, {
    what: 'takeover of an image that cannot be read',
    command: `${flip}; code=0; ${mount} || code=$?; ${flip}; (exit $code)`,
    says: /the header of the image fails its checksum/,
  })
  await refuse(stage, {
    what: 'format of a region whose keeper died',
    command: format,
    says: /is in use by another pool/,
  })
  expect('taken over', await host.run(mount), /its keeper had died: a new one took over/)
}

/** Ends with the pool mounted again, its files as they were. No guest runs by now. */
export async function refuseImages(stage: Stage): Promise<void> {
  const { host } = stage
  const files = await host.run(LIST)
  await host.run('guestmemfs umount guestmemfs')
  await refuse(stage, {
    what: 'format of a pool',
    command: 'guestmemfs format guestmemfs',
    says: /it holds a pool.*--force/,
  })
  await host.run(`${FLIP} metadata+200`)
  await refuse(stage, {
    what: 'mount of a damaged image',
    command: MOUNT,
    says: /header of the image fails its checksum/,
  })
  await host.run(`${FLIP} metadata+200`)
  await host.run(MOUNT)
  assert.equal(await host.run(LIST), files, 'the files are not what they were')
}
