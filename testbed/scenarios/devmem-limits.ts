/**
 * The part of `devmem` that is about limits: ranges that a pool must not take, a deleted file whose bytes no
 * other file may show, and a kernel that is locked down.
 */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import type { Host } from '../machine/host.ts'
import { HOLD } from '../scenario/mapping.ts'
import { mapOf, poolStatus, refusal } from '../scenario/pool.ts'
import type { Stage } from '../scenario/scenario.ts'
import { refuse } from './refuse-pools.ts'

/** Reserved as well, but its second half is above the end of RAM. */
export const NOT_ALL_RAM = 'memmap=128M$6080M'
/** A byte of block 2. */
const FLIP = 'printf "$byte" | dd of=/dev/mem bs=1 seek=$((0x100400000)) conv=notrunc status=none'
const SECRET_BYTES = 64 * 2 ** 20

/** Each in one line, with nothing changed. */
export async function refuseRanges(stage: Stage): Promise<void> {
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
    /it holds data of another program, at 0x100400000\b.*--store devmem --region 0x100000000 --force/
  await refuse(stage, { what: 'foreign data', command: on(',region=4G'), says: foreign })
  await stage.host.run(`byte='\\0'; ${FLIP}`)
}

interface Held {
  readonly pid: number
  readonly offsetBytes: number
  /** CRC of the memory that its process maps. */
  readonly crc: number
}

/** A file of the secret's size, mapped by a process, full of a pattern where there is a `seed`. */
async function hold(host: Host, name: string, seed = ''): Promise<Held> {
  await host.run(`cd /mnt/guestmemfs; touch ${name}; truncate -s ${SECRET_BYTES} ${name}`)
  const { path, offsetBytes } = await mapOf(host, name)
  const words = `exec ${HOLD} ${path} ${SECRET_BYTES} '${seed}' ${offsetBytes}`
  const { pid, log } = await host.start(`hold-${name}`, words)
  const [, crc] = await log.waitFor(/holding (\d+)\n$/)
  return { pid, offsetBytes, crc: Number(crc) }
}

/**
 * Guest RAM full of a pattern is deleted while a process maps it: no other file gets its blocks as long as
 * one does, and the next file that gets them shows zeros.
 */
export async function deleteSecret({ host, expect }: Stage): Promise<void> {
  const zero = crc32(new Uint8Array(SECRET_BYTES))
  const secret = await hold(host, 'secret', '7')
  const cut = await refusal(host, 'truncate -s 2M /mnt/guestmemfs/secret')
  expect('mapped RAM cut', cut, /Device or resource busy/)
  await host.run('rm /mnt/guestmemfs/secret')
  const other = await hold(host, 'other')
  assert.ok(
    Math.abs(other.offsetBytes - secret.offsetBytes) >= SECRET_BYTES,
    'blocks that a process maps were handed out',
  )
  expect("another file's RAM is zero", other.crc, zero)
  expect('deleted and held', await orphans(host), 1)
  const status = 'guestmemfs status -v | grep ^orphans'
  await host.run(`for try in $(seq 100); do ${status} | grep 'held by' && break; sleep 0.1; done`)
  expect('its holder', await host.run(status), /^orphans +1, held by \S+ \(process \d+\)$/)
  await host.run(`kill -KILL ${secret.pid}`)
  await untilFreed(host)
  const again = await hold(host, 'again')
  expect('the lowest place is used again', again.offsetBytes, secret.offsetBytes)
  expect("the next file's RAM is zero", again.crc, zero)
  await host.run(`kill -KILL ${other.pid} ${again.pid}; rm /mnt/guestmemfs/other /mnt/guestmemfs/again`)
}

const orphans = async (host: Host): Promise<number> => (await poolStatus(host)).health.orphans

async function untilFreed(host: Host): Promise<void> {
  for (let look = 0; (await orphans(host)) !== 0; look++) {
    if (look === 100) throw new Error('no process holds the deleted file, and it is still there')
    await host.run('sleep 0.2')
  }
}

/** Comes last: a lockdown stays until the next boot. */
export async function refuseLockedDown(stage: Stage, mount: string): Promise<void> {
  const { host } = stage
  await host.run('pkill -KILL qemu-system; sleep 1; guestmemfs umount guestmemfs')
  await host.run(
    'mount -t securityfs none /sys/kernel/security; echo integrity >/sys/kernel/security/lockdown',
  )
  const says =
    /this kernel is locked down \(integrity\) and keeps \/dev\/mem closed: store=dax works all the same/
  await refuse(stage, { what: 'lockdown', command: mount, says })
}
