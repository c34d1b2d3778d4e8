/**
 * Tests that each command answers wrong input with one clear line and an exit status other than 0, and
 * changes nothing.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { memoryInfo } from '../../src/linux/memory-info.ts'
import { mountTable } from '../../src/linux/mounts.ts'
import { POOLS } from '../../src/run/paths.ts'
import {
  cannotMount,
  guestmemfs,
  guestmemfsAsStranger,
  mountTestPool,
  type Outcome,
  poolRecord,
  testMountPoint,
  testPoolName,
} from './support.ts'

const options = { skip: cannotMount, timeout: 90_000 }

/** This machine's pools and mounts, which no refusal may change. */
const traces = (): unknown => [
  fs.existsSync(POOLS)
    ? fs
        .readdirSync(POOLS)
        .filter((name) => name.startsWith(`test-${process.pid}-`) && name.endsWith('.json'))
    : [],
  mountTable().filter(({ source }) => source.startsWith(`test-${process.pid}-`)),
]

function isRefused({ status, stdout, stderr }: Outcome, reason: RegExp, what = String(reason)): void {
  assert.ok(status > 0, what)
  assert.equal(stdout, '', what)
  assert.match(stderr, /^guestmemfs: [^\n]+\n(\(see 'guestmemfs help'\)\n)?$/, what)
  assert.match(stderr, reason, what)
}

/** Runs all cases at once, as none of them may change anything. */
async function refuses(...cases: [string[], RegExp][]): Promise<void> {
  const before = traces()
  const outcomes = await Promise.all(cases.map(([words]) => guestmemfs(...words)))
  for (const [index, [words, reason]] of cases.entries())
    isRefused(outcomes[index] as Outcome, reason, words.join(' '))
  assert.deepEqual(traces(), before)
}

test('mount refuses before it changes anything', options, async (t: TestContext) => {
  // Each with a pool of its own: of two that mount one pool at once, the second gets another message.
  const name = (): string => testPoolName(t)
  const mountPoint = testMountPoint(t)
  const file = join(mountPoint, 'file')
  fs.writeFileSync(file, '')
  const tooLarge = `size=${Math.ceil(memoryInfo().totalBytes / 2 ** 20) * 2}M`
  const withOptions = (words: string): string[] => ['mount', name(), mountPoint, '-o', words]
  await refuses(
    [
      ['mount', name(), join(mountPoint, 'missing')],
      /mount point \S+ does not exist: make it with 'mkdir -p /,
    ],
    [['mount', name(), file], /mount point \S+ is not a directory/],
    [['mount', name(), join(file, 'below')], /mount point \S+ does not exist/],
    [withOptions('size=lots'), /size 'lots'/],
    [withOptions('size='), /size ''/],
    [withOptions('size=-1G'), /size '-1G'/],
    [withOptions('size=1M'), /smaller than one block of 2M: ask for more/],
    [withOptions(tooLarge), /larger than this machine's memory/],
    [withOptions('size=64M,sise=1'), /unknown mount option 'sise=1'/],
    [['mount', 'no/slashes', mountPoint], /pool name 'no\/slashes' is not usable/],
    [['mount', 'x'.repeat(65), mountPoint], /is not usable/],
    [['mount', name()], /missing required argument 'mountpoint'/],
    [['mount', name(), mountPoint, '--unknown'], /unknown option '--unknown'/],
  )
  fs.unlinkSync(file)
})

test('what is mounted already is left as it is', options, async (t) => {
  const { pool, path, mountPoint } = await mountTestPool(t, { size: '64M' })
  fs.writeFileSync(path('text'), 'kept')
  const elsewhere = testMountPoint(t)
  const link = join(elsewhere, 'link')
  fs.symlinkSync(mountPoint, link)
  const other = (where: string): [string[], RegExp] => [
    ['mount', testPoolName(t), where],
    /is busy: pool '\S+' is mounted there; unmount it first/,
  ]
  await refuses([['mount', pool, elsewhere], /is mounted on \S+ already/])
  await refuses(
    [['mount', pool, mountPoint], /is mounted on \S+ already/],
    ...[mountPoint, `${mountPoint}/`, `${mountPoint}/.`, link].map(other),
  )
  for (const named of [pool, mountPoint, `${mountPoint}/`, link])
    assert.equal((await guestmemfs('status', named)).status, 0, named)
  fs.unlinkSync(link)

  const fd = fs.openSync(path('text'), 'r')
  await refuses(
    [['umount', pool], /is busy: end what uses it first/],
    [['umount', '--discard', pool], /is busy/],
  )
  assert.equal(fs.readFileSync(fd, 'utf8'), 'kept')
  fs.closeSync(fd)

  // A parked pool is mounted with its own size or none.
  assert.equal((await guestmemfs('umount', pool)).status, 0)
  await refuses([
    ['mount', pool, mountPoint, '-o', 'size=32M'],
    /exists with 64M, not 32M: mount it without size=/,
  ])
  await refuses(
    [['mount', pool, join(elsewhere, 'missing')], /does not exist/],
    [['umount', pool], /is parked, not mounted/],
  )
  assert.equal(poolRecord(pool).state, 'parked')
  assert.equal((await guestmemfs('mount', pool, mountPoint, '-o', 'size=64M')).status, 0)
  assert.equal(fs.readFileSync(path('text'), 'utf8'), 'kept')
})

test('names of what does not exist', options, async () => {
  const unknown = `test-${process.pid}-unknown`
  const verbs = ['umount', 'status', 'freeze', 'thaw', 'fsck', 'dump']
  await refuses(
    ...verbs.map((verb): [string[], RegExp] => [
      [verb, unknown],
      new RegExp(`'${unknown}' is (neither a pool|not a mounted pool)`),
    ]),
    [['status', '/tmp'], /'\/tmp' is not a mounted pool/],
    [['frobnicate'], /unknown command 'frobnicate'/],
  )
})

test('without root', options, async (t) => {
  const pool = await mountTestPool(t, { size: '64M' })
  fs.writeFileSync(pool.path('text'), 'kept')
  const other = testPoolName(t)
  const mountPoint = testMountPoint(t)
  const before = traces()
  const cases: [string[], RegExp][] = [
    [['mount', other, mountPoint], /mounting needs root: run it with sudo/],
    [['umount', pool.pool], /unmounting needs root: run it with sudo/],
    [['umount', '--discard', pool.pool], /unmounting needs root: run it with sudo/],
    [['freeze', pool.pool], /needs root/],
    [['fsck', pool.pool], /needs root/],
    [['dump', pool.mountPoint], /needs root/],
  ]
  const outcomes = await Promise.all(cases.map(([words]) => guestmemfsAsStranger(...words)))
  for (const [index, [words, reason]] of cases.entries())
    isRefused(outcomes[index] as Outcome, reason, words.join(' '))
  assert.deepEqual(traces(), before)
  assert.equal(fs.statSync(join(POOLS, `${pool.pool}.json`)).mode & 0o777, 0o644)
  const list = await guestmemfsAsStranger('list')
  assert.match(list.stdout, new RegExp(`^${pool.pool} +mounted +64M `, 'm'))
  assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
})
