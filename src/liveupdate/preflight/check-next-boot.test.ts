import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BootMounts } from '../../host/boot-mounts.ts'
import type { BootProgram, NextBoot } from '../../host/next-boot.ts'
import { checkBootMounts, checkNextBoot, checkNumbered } from './check-next-boot.ts'
import type { PoolFacts } from './pool-facts.ts'
import { linesOf, POOL } from './testing/facts.ts'

const only = (format: number) => ({ oldest: format, newest: format })
const PROGRAM: BootProgram = {
  by: '/sbin/mount.guestmemfs',
  place: '/lib/2',
  lacks: undefined,
  reads: { image: { oldest: 1, newest: 2 }, handover: only(1) },
}
const NOTHING: NextBoot = { programs: [], lacksHelper: false, numbered: [] }
const judge = (program: Partial<BootProgram>, formats: Record<string, number> = { image: 1 }) =>
  linesOf(checkNextBoot({ ...NOTHING, programs: [{ ...PROGRAM, ...program }] }, [{ ...POOL, formats }]))

test('a complete version that reads the pool’s formats has no finding', () => {
  assert.deepEqual(judge({}), [])
  assert.deepEqual(judge({}, { image: 2, handover: 1 }), [])
  assert.deepEqual(judge({ reads: undefined }, { image: 1, handover: 1 }), [])
  assert.deepEqual(linesOf(checkNextBoot(NOTHING, [POOL])), [])
})

test('one that is incomplete, or missing, is refused with the command that repairs it', () => {
  assert.deepEqual(judge({ lacks: 'dist/cli.js is not what was installed' }, { image: 9 }), [
    "error: the guestmemfs that the next boot runs (/lib/2, by /sbin/mount.guestmemfs) is not whole: dist/cli.js is not what was installed: run 'guestmemfs install'",
  ])
  assert.match(
    judge({ lacks: 'bin/node: ENOENT', place: '/usr/lib/guestmemfs/versions/1' })[0] ?? '',
    /is not whole: bin\/node: ENOENT: install the package anew$/,
  )
  assert.match(
    linesOf(checkNextBoot({ ...NOTHING, lacksHelper: true }, []))[0] ?? '',
    /^error: a line of \/etc\/fstab mounts a pool.*guestmemfs install'$/,
  )
})

test('one that does not read a format of the pool is refused, by the format', () => {
  const [line = '', ...more] = judge(
    { reads: { image: only(1), handover: only(1) } },
    { image: 2, handover: 1 },
  )
  assert.deepEqual(more, [])
  assert.match(
    line,
    /^error: pool 'p' leaves image format 2 to the guestmemfs .*, which reads 1 to 1: run 'guestmemfs install' of the version that is to come$/,
  )
  assert.match(judge({ reads: undefined }, { image: 2 })[0] ?? '', /reads 1 to 1/)
  assert.match(judge({}, { image: 1, handover: 2 })[0] ?? '', /leaves handover format 2/)
  assert.match(judge({}, { unheard: 1 })[0] ?? '', /reads none/)
  // Of versions that know no VMM but QEMU.
  assert.match(judge({}, { 'VM record': 2 })[0] ?? '', /leaves VM record format 2 .*reads none/)
  assert.deepEqual(judge({ reads: { image: only(1), 'VM record': only(2) } }, { 'VM record': 2 }), [])
})

test('of several regions, one that fstab names by number may be another one next time', () => {
  const [start, lengthBytes] = [2 ** 32, 2 ** 30]
  const regions = [
    { start, lengthBytes },
    { start: 2 * start, lengthBytes },
  ]
  const numbered = [{ pool: 'p', region: 'dax1.0' }]
  const pools = [{ ...POOL, place: { start, lengthBytes } }]
  assert.deepEqual(linesOf(checkNumbered(numbered, regions, pools)), [
    "warn: /etc/fstab mounts pool 'p' from region=dax1.0, and the next kernel may give that number to another region: write region=0x100000000",
  ])
  assert.match(linesOf(checkNumbered(numbered, regions, []))[0] ?? '', /: write its first byte$/)
  assert.deepEqual(checkNumbered(numbered, regions.slice(1), pools), [])
  assert.deepEqual(checkNumbered([], regions, pools), [])
})

test('a pool that neither fstab nor a unit mounts is warned of, with the line that does it', () => {
  const [start, lengthBytes] = [2 ** 32, 2 ** 30]
  const place = { start, lengthBytes }
  const judged = (mounts: Partial<BootMounts>, regions = [place], pool: Partial<PoolFacts> = {}): string[] =>
    linesOf(
      checkBootMounts({ pools: [], mountPoints: [], ...mounts }, regions, [{ ...POOL, place, ...pool }]),
    )
  assert.deepEqual(judged({ pools: ['p'] }), [])
  assert.deepEqual(judged({ mountPoints: ['/mnt/p'] }), [])
  assert.deepEqual(judged({ pools: ['q'], mountPoints: ['/mnt'] }), [
    "warn: no line of /etc/fstab and no unit mounts pool 'p' at boot: its guests stay saved until it is mounted and 'guestmemfs resume' is typed; a line that does it: p /mnt/p guestmemfs store=dax,nofail 0 0",
  ])
  assert.match(judged({}, [place, place])[0] ?? '', / store=dax,region=0x100000000,nofail 0 0$/)
  assert.match(
    judged({}, [], { store: 'memfd', by: 'luo', place: undefined, mountPoint: '/mnt/a b' })[0] ?? '',
    /: p \/mnt\/a\\040b guestmemfs nofail 0 0$/,
  )
})
