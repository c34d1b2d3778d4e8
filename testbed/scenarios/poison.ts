/**
 * Pages of served pools that the kernel poisons, by its own handling of a memory failure: of a file, of the
 * image's checkpoint, of its log, and of the RAM of another guest in a carve-out. A KVM guest runs on through
 * all of it. No kexec here: that is poison-kexec.ts.
 */
import { guestCommand } from '../guests/qemu.ts'
import { buildTinyGuest } from '../guests/tiny-guest.ts'
import { badRows, poisonPage, takesAllButBad } from '../scenario/bad-memory.ts'
import { poolStatus, printed, refusal } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT } from './carve-out.ts'

const POOL = '/mnt/guestmemfs'
/** The pool of the other guest. */
const CARVED = '/mnt/carved'
const PAGE_BYTES = 4096
const MIB = 2 ** 20
/** A page in the middle of a file of 16. */
const POISONED_PAGE = 5
/** Of 1000 changes each: a checkpoint is written when the log has grown. */
const MOST_ROUNDS = 40
const LOG = '/run/guestmemfs/pools/guestmemfs.log'

export const poison: Scenario = {
  about:
    'the kernel poisons pages of a file, of the image and of another guest: EIO, one death, a refusal; a guest runs on',
  tier: 'testbed',
  memory: '4G',
  append: CARVE_OUT,
  files: () => ({ guest: buildTinyGuest({ mebibytes: 16 }) }),
  async run(stage) {
    const { host, phase, guest } = stage
    await host.run(`mkdir -p ${POOL}; guestmemfs mount guestmemfs ${POOL} -o size=256M
      cd ${POOL}; touch guest-ram; truncate -s 64M guest-ram
      head -c $((16 * ${PAGE_BYTES})) /dev/urandom | tee /root/whole >file; echo other >other`)
    await host.start('run', `exec guestmemfs run -- ${guestCommand({ name: 'guest', mebibytes: 64 })}`)
    await phase('guest runs', () => guest('guest').waitForTicks(5))
    await phase('a page of a file', () => poisonFile(stage))
    await phase('a page of a checkpoint', () => poisonCheckpoint(stage))
    await phase('a page of another guest', () => poisonGuest(stage))
    await phase('a page of the log', () => poisonLog(stage))
    await phase('guest runs on', () => guest('guest').waitForTicks(10))
  },
}

/** EIO for that page, and for nothing else; no process dies, and no other file gets the page. */
async function poisonFile(stage: Stage): Promise<void> {
  const { host, expect } = stage
  const { pid } = (await poolStatus(host)).server
  await host.run(poisonPage(`${POOL}/file`, POISONED_PAGE * PAGE_BYTES))
  const dropCopies = 'echo 1 >/proc/sys/vm/drop_caches'
  const at = (file: string, page: string): string =>
    `dd if=${file} bs=${PAGE_BYTES} skip=${page} count=1 status=none`
  const answer = await refusal(host, `${dropCopies}; ${at(`${POOL}/file`, `${POISONED_PAGE}`)}`)
  expect('the page', answer, /Input\/output error/)
  await host.run(`for page in {0..15}; do
    [[ $page == ${POISONED_PAGE} || $(${at(`${POOL}/file`, '$page')} | sha256sum) == $(${at('/root/whole', '$page')} | sha256sum) ]]; done`)
  expect('another file', await host.run(`cat ${POOL}/other`), 'other')
  await host.run(`rm ${POOL}/file; head -c 32M /dev/urandom | tee /root/big >${POOL}/big; ${dropCopies}
    [[ $(sha256sum </root/big) == $(sha256sum <${POOL}/big) ]]; rm ${POOL}/big`)
  expect('same server', (await poolStatus(host)).server.pid, pid)
}

/** The server recovers the image from its other copies: no file is lost. */
async function poisonCheckpoint(stage: Stage): Promise<void> {
  const { host, expect } = stage
  const { image } = await imageOf(stage)
  const page = await newestCheckpoint(stage)
  await host.run(poisonPage(image, page))
  const { pid } = (await poolStatus(host)).server
  await host.run(`kill -KILL ${pid}; stat ${POOL}/other >/dev/null; echo more >${POOL}/more`)
  expect(
    'files',
    await host.run(`cat ${POOL}/other ${POOL}/more; ls ${POOL} | xargs`),
    'other\nmore\nguest-ram more other',
  )
  expect('fsck', await host.run('guestmemfs fsck guestmemfs'), 'guestmemfs: clean')
}

/**
 * An emulated guest's QEMU is told of the page and ends by SIGBUS; the KVM guest beside it runs on, and no
 * file gets the block any more.
 */
async function poisonGuest(stage: Stage): Promise<void> {
  const { host, expect, guest } = stage
  await host.run(`mkdir -p ${CARVED}; guestmemfs mount carved ${CARVED} -o store=dax
    touch ${CARVED}/ram; truncate -s 64M ${CARVED}/ram`)
  const line = guestCommand({
    name: 'doomed',
    mebibytes: 64,
    ram: `${CARVED}/ram`,
    kernel: 'guest',
    accelerator: 'tcg',
  })
  const { log } = await host.start('run-doomed', `exec guestmemfs run --name doomed -- ${line}`)
  await guest('doomed').waitForTicks(3)
  await host.run(poisonPage(await host.run(`readlink ${CARVED}/ram`), 6 * MIB + PAGE_BYTES))
  await log.waitForEnd(60_000)
  stage.keep('how its QEMU ended', log.text)
  const { vms } = await printed(host, 'vms', CARVED)
  expect('its state', vms.map(({ name, state }) => `${name} ${state}`).join(), /^doomed dead/)
  const rows = await badRows(host, 'carved', { free: 0, inFiles: 1 })
  expect(
    'bad',
    rows.map(({ file, fileOffsetBytes }) => `${file} at ${fileOffsetBytes}`).join(),
    `ram at ${6 * MIB}`,
  )
  expect('list', await host.run('guestmemfs list'), /^POOL +STATE +SIZE +FREE +BAD +MOUNTED ON\n/)
  expect(
    'doctor',
    await host.run(`(guestmemfs doctor || true) | grep -o 'bad memory of pool carved .*'`),
    /2M of memory is bad, and goes to no file any more; parts of ram are on it$/,
  )
  await host.run(`rm ${CARVED}/ram`)
  await badRows(host, 'carved', { free: 1, inFiles: 0 })
  await takesAllButBad(stage, 'the carve-out', CARVED, rows)
}

/**
 * An acknowledged record is gone: the server refuses the image with that reason, and serves nothing any more.
 */
async function poisonLog(stage: Stage): Promise<void> {
  const { host, expect } = stage
  const { image, segments } = await imageOf(stage)
  for (const offset of segments) await host.run(poisonPage(image, pageOf(offset)))
  // Its request is never answered: the pool is refused.
  await host.run(`touch ${POOL}/never >/dev/null 2>&1 &
    for try in {1..300}; do grep -q 'cannot be read' ${LOG} && break; sleep .2; done`)
  expect('the log of the pool', await host.run(`grep -h 'cannot be read' ${LOG} | tail -1`), /cannot be read/)
}

const pageOf = (offset: number): number => offset - (offset % PAGE_BYTES)

/**
 * Of the memfd that the server maps: its path, and offsets by its header (docs/internals/image-format.md).
 */
async function imageOf({ host }: Stage): Promise<{ image: string; slots: number[]; segments: number[] }> {
  const { server } = await poolStatus(host)
  const image = await host.run(
    `for fd in /proc/${server.pid}/fd/*; do [[ $(readlink $fd) == *memfd:guestmemfs:image* ]] && echo $fd && break; done`,
  )
  const words = await host.run(`dd if=${image} bs=8 skip=6 count=4 status=none | od -An -v -tu8 -w8 | xargs`)
  const [first = 0, second = 0, ...segments] = words.split(' ').map(Number)
  return { image, slots: [first, second], segments }
}

/** The first page of the newest checkpoint, once there is one before it. */
async function newestCheckpoint(stage: Stage): Promise<number> {
  const { host } = stage
  const { image, slots } = await imageOf(stage)
  const generation = async (slot: number): Promise<number> =>
    Number(await host.run(`dd if=${image} bs=8 skip=$((${slot} / 8)) count=1 status=none | od -An -tu4 -N4`))
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const [first = 0, second = 0] = await Promise.all(slots.map(generation))
    if (first > 0 && second > 0) {
      const slot = (first > second ? slots[0] : slots[1]) as number
      return pageOf(slot)
    }
    await host.run(`cd ${POOL}; for number in {1..500}; do echo >f$number; done; rm f*`)
  }
  throw new Error('no second checkpoint was written')
}
