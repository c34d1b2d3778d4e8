/**
 * Owns the seed's usage section on reserved memory, as it is typed by hand: the file's window is read off its xattr, and QEMU maps it. And
 * what is refused of such memory; how the kernel maps it; that a deleted file's bytes are nobody's.
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { GuestMonitor } from '../scenario/guest-monitor.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { RESERVED } from './carve-out.ts'
import { refuse } from './refuse-pools.ts'

const MOUNT = 'guestmemfs mount guestmemfs /mnt/guestmemfs -o store=devmem,region=0x100000000'
/** What a file says of its way to a guest. */
const mapOf = (name: string) => `getfattr --only-values -n guestmemfs.map /mnt/guestmemfs/${name}`
const OFFSET_OF_RAM = `offset=$(${mapOf('guest-ram')} | sed -E 's/.*"offsetBytes":([0-9]+).*/\\1/')`

const qemu = (memPath: string) =>
  `qemu-system-x86_64 -machine pc-q35-10.0,memory-backend=pc.ram -accel kvm -cpu host -m 500M \\
  -object memory-backend-file,id=pc.ram,size=500M,mem-path=${memPath},align=2M,share=on,prealloc=off \\
  -nodefaults -display none -serial stdio -monitor unix:/run/guest.monitor,server,nowait \\
  -kernel /opt/testbed/files/tiny-guest`
const QEMU = `${OFFSET_OF_RAM}; exec ${qemu('/dev/mem,offset=$offset')}`
const monitor = new GuestMonitor('/run/guest.monitor')

/** Reserved as well, but its second half lies behind the end of RAM. */
const NOT_ALL_RAM = 'memmap=128M$6080M'
/** A byte of block 2. */
const FLIP = 'printf "$byte" | dd of=/dev/mem bs=1 seek=$((0x100400000)) conv=notrunc status=none'

export const devmem: Scenario = {
  about: 'the seed, typed, on reserved memory: a KVM guest in a window of /dev/mem survives a real kexec',
  memory: '4G',
  append: `${RESERVED} ${NOT_ALL_RAM}`,
  files: () => ({ 'tiny-guest': buildTinyGuest({ mebibytes: 64 }) }),
  async run(stage) {
    const { host, next, phase, keep, guest } = stage
    const ram = guest('guest')
    await host.run('mkdir -p /mnt/guestmemfs')
    await refuseRanges(stage)
    await phase('mount', () => host.run(MOUNT))
    await phase('a deleted secret', () => deleteSecret(stage))
    await phase('touch, truncate', () =>
      host.run('touch /mnt/guestmemfs/guest-ram && truncate -s 500M /mnt/guestmemfs/guest-ram'),
    )
    keep('map', JSON.parse(await host.run(mapOf('guest-ram'))))
    const direct = await phase('without the window', () =>
      host.run(`! ${qemu('/mnt/guestmemfs/guest-ram')} 2>&1`),
    )
    assert.match(direct, /No such device/, 'a mapping of the file itself must be refused, not be a copy')

    const { pid } = await host.start('guest', QEMU)
    await phase('guest runs', () => ram.waitForTicks(20))
    keep('write-back', await phase('write-back', () => checkCaching(stage, pid)))
    await phase('save', async () => {
      await host.run(monitor.save('/mnt/guestmemfs/qemu.sav'))
      await ram.log.waitForEnd(60_000)
    })
    await phase('freeze', () => host.run('guestmemfs freeze'))
    await phase('load next kernel', async () => {
      await host.atBoot(`mkdir -p /mnt/guestmemfs; ${MOUNT}`)
      await host.run(`kexec -s -l ${next.vmlinuz} --initrd=${next.initramfs} --reuse-cmdline`)
    })
    await phase('kexec', () => host.jump('sync; kexec -e'))

    await phase('mount again', () => host.log('at-boot').waitFor(/on \/mnt\/guestmemfs/))
    keep('found', await host.run('guestmemfs status; guestmemfs fsck guestmemfs'))
    await phase('restore', async () => {
      await host.start('guest', `${QEMU} -incoming defer`)
      await host.run(monitor.restore('/mnt/guestmemfs/qemu.sav'))
    })
    await phase('guest runs on', () => ram.waitForTicks(20))
    await phase('thaw', () => host.run('guestmemfs thaw'))
    const doctor = await host.run('guestmemfs doctor || true')
    keep(
      'doctor',
      doctor.split('\n').filter((line) => / (?:reserved|carve-out) /.test(line)),
    )
    await refuseLockedDown(stage)
  },
}

/** Each in one line, with nothing changed. */
async function refuseRanges(stage: Stage): Promise<void> {
  const on = (options: string) => `guestmemfs mount guestmemfs /mnt/guestmemfs -o store=devmem${options}`
  await refuse(stage, {
    what: 'several ranges',
    command: on(''),
    says: /several reserved ranges: say which one with region=, of 0x100000000, 0x17c000000/,
  })
  await refuse(stage, {
    what: 'not reserved',
    command: on(',region=5G'),
    says: /no range at 5G is reserved by the command line: there is 0x100000000/,
  })
  await refuse(stage, {
    what: 'not all RAM',
    command: on(',region=0x17c000000'),
    says: /range 128M at 6080M is not all RAM: 64M at 6G /,
  })
  await refuse(stage, {
    what: 'pages of 1G',
    command: on(',align=1G'),
    says: /align=1G is only for store=dax/,
  })
  await stage.host.run(`byte=x; ${FLIP}`)
  const foreign =
    /it holds data that is not ours, at 0x100400000\b.*--store devmem --region 0x100000000 --force/
  await refuse(stage, { what: 'foreign data', command: on(',region=4G'), says: foreign })
  await stage.host.run(`byte='\\0'; ${FLIP}`)
}

/**
 * Guest RAM full of a pattern is deleted while it is mapped: no other file gets its blocks as long as it is, and when one does
 * they are zero.
 */
async function deleteSecret({ host }: Stage): Promise<void> {
  const bytes = 64 * 2 ** 20
  const hold = async (name: string, seed: string) => {
    await host.run(`cd /mnt/guestmemfs; touch ${name}; truncate -s ${bytes} ${name}`)
    const { path, offsetBytes } = JSON.parse(await host.run(mapOf(name)))
    const words = `exec node /opt/testbed/guestmemfs/testbed/programs/memory/hold.ts ${path} ${bytes} '${seed}' ${offsetBytes}`
    const { pid, log } = await host.start(`hold-${name}`, words)
    const [, crc] = await log.waitFor(/holding (\d+)\n$/)
    return { pid, offsetBytes: Number(offsetBytes), crc: Number(crc) }
  }
  const zero = crc32(new Uint8Array(bytes))
  const secret = await hold('secret', '7')
  await host.run('! truncate -s 2M /mnt/guestmemfs/secret; rm /mnt/guestmemfs/secret')
  const orphans = 'guestmemfs status --json | grep -oE "\\"orphans\\":[0-9]+"'
  const held = await hold('other', '')
  assert.ok(
    Math.abs(held.offsetBytes - secret.offsetBytes) >= bytes,
    'blocks that somebody maps were handed out',
  )
  assert.equal(held.crc, zero)
  assert.equal(await host.run(orphans), '"orphans":1')
  await host.run(`kill -KILL ${secret.pid}; for try in $(seq 100); do
    [ "$(${orphans})" != '"orphans":0' ] || break; [ $try -lt 100 ]; sleep 0.2; done`)
  const again = await hold('again', '')
  assert.equal(again.offsetBytes, secret.offsetBytes, 'the lowest place is not used again')
  assert.equal(again.crc, zero, 'a new file shows what a deleted one held')
  await host.run(`kill -KILL ${held.pid} ${again.pid}; rm /mnt/guestmemfs/other /mnt/guestmemfs/again`)
}

/** RAM that is mapped uncached would be slow beyond use, and nothing else would show it. */
async function checkCaching({ host }: Stage, pid: number): Promise<string> {
  const list = await host.run('cat /sys/kernel/debug/x86/pat_memtype_list')
  const window = await host.run(`grep -m1 /dev/mem /proc/${pid}/maps`)
  const offset = Number.parseInt(window.split(/\s+/)[2] as string, 16)
  const line = list.split('\n').find((each) => each.includes(`0x${offset.toString(16).padStart(16, '0')}-`))
  assert.match(line ?? `no line for ${window}`, /write-back$/)
  return line as string
}

/** The last thing: until the next boot nothing takes it back. */
async function refuseLockedDown(stage: Stage): Promise<void> {
  const { host } = stage
  await host.run('pkill -KILL qemu-system; sleep 1; guestmemfs umount guestmemfs')
  await host.run(
    'mount -t securityfs none /sys/kernel/security; echo integrity >/sys/kernel/security/lockdown',
  )
  const says =
    /this kernel is locked down \(integrity\) and keeps \/dev\/mem closed: store=dax works all the same/
  await refuse(stage, { what: 'lockdown', command: MOUNT, says })
}
