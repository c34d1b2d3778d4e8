/**
 * A page of guest RAM in a carve-out that the kernel poisons: the pool records it. In the next kernel, whose
 * log does not have it, the server keeps it out of every file, and so does the next pool's there, until an
 * operator formats with `--forget-bad`.
 */
import { type BadRow, badRows, poisonPage, takesAllButBad } from '../scenario/bad-memory.ts'
import { kexecByHand } from '../scenario/by-hand.ts'
import { expectClean } from '../scenario/pool.ts'
import type { Scenario, Stage } from '../scenario/scenario.ts'
import { CARVE_OUT, MOUNT } from './carve-out.ts'

const POOL = '/mnt/guestmemfs'
const MIB = 2 ** 20
const PAGE_BYTES = 4096
/** In the fourth block of the file. */
const OFFSET = 6 * MIB + 5 * PAGE_BYTES

export const poisonKexec: Scenario = {
  about:
    'a poisoned page of guest RAM in a carve-out: bad after a kexec and after a format, until told otherwise',
  tier: 'testbed',
  memory: '4G',
  append: CARVE_OUT,
  async run(stage) {
    const { host, phase, expect } = stage
    await host.run(`mkdir -p ${POOL}; ${MOUNT}; cd ${POOL}; touch ram; truncate -s 64M ram`)
    await phase('the page', async () => {
      const node = await host.run(`readlink ${POOL}/ram`)
      await host.run(poisonPage(node, OFFSET))
    })
    const rows = await phase('recorded', () => badRows(host, 'guestmemfs', { free: 0, inFiles: 1 }))
    const row = only(rows)
    expect(
      'bad',
      rows.map(({ file, fileOffsetBytes, lengthBytes }) => ({ file, fileOffsetBytes, lengthBytes })),
      [{ file: 'ram', fileOffsetBytes: 6 * MIB, lengthBytes: 2 * MIB }],
    )
    const frame = (row.startByte + 5 * PAGE_BYTES) / PAGE_BYTES
    expect(
      "the kernel's line",
      await host.run(`dmesg | grep -o 'Memory failure: 0x[0-9a-f]*: recovery action for .*' | tail -1`),
      new RegExp(`^Memory failure: 0x${frame.toString(16)}: `),
    )
    await host.run('guestmemfs freeze')
    await kexecByHand(stage, `mkdir -p ${POOL}; ${MOUNT}`)
    await phase('mount again', () => host.log('at-boot').waitFor(/on \/mnt\/guestmemfs, .* \(found again\)/))
    expect('no word of it in this kernel', await host.run(`! dmesg | grep 'Memory failure'`), '')
    expect('bad, still', await badRows(host, 'guestmemfs', { free: 0, inFiles: 1 }), rows)
    await expectClean(stage)
    await host.run(`guestmemfs thaw; rm ${POOL}/ram`)
    const freed = await phase('the file is gone', () => badRows(host, 'guestmemfs', { free: 1, inFiles: 0 }))
    const { poolOffsetBytes, startByte } = row
    expect('bad, no file has it', freed, [{ poolOffsetBytes, lengthBytes: 2 * MIB, startByte }])
    await phase('all that is free', () => takesAllButBad(stage, 'after a kexec', POOL, rows))
    await phase('other pools', () => formatAgain(stage, rows))
  },
}

async function formatAgain(stage: Stage, rows: readonly BadRow[]): Promise<void> {
  const { host, expect } = stage
  const format = async (words: string): Promise<string> => {
    await host.run(`guestmemfs umount ${POOL}`)
    return await host.run(`guestmemfs format ${words} --force`)
  }
  const mount = (name: string) => host.run(`guestmemfs mount ${name} ${POOL} -o store=dax`)
  expect('formatted', await format('second'), /^second on dax0\.0, \S+: empty, 2M of it bad$/)
  await mount('second')
  expect(
    'bad in the next pool',
    (await badRows(host, 'second', { free: 1, inFiles: 0 }))[0]?.startByte,
    rows[0]?.startByte,
  )
  await takesAllButBad(stage, 'in the next pool', POOL, rows)
  const named = await format('third --forget-bad --bad 0x100000000+4K')
  expect('formatted, another page named', named, /: empty, 2M of it bad$/)
  await mount('third')
  const [other] = await badRows(host, 'third', { free: 1, inFiles: 0 })
  expect('the one that was named', other?.startByte, 2 ** 32)
  expect('forgotten', await format('fourth --forget-bad'), /: empty$/)
}

function only(rows: readonly BadRow[]): BadRow {
  const [row] = rows
  if (row === undefined || rows.length > 1) throw new Error(`not one bad block: ${JSON.stringify(rows)}`)
  return row
}
