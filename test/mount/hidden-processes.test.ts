/**
 * Where /proc does not show every process: a carve-out is refused in one line, before holders are looked for,
 * and so is whatever concerns a pool of memfds whose processes are not seen.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { hiddenProcesses } from '../../src/linux/pid-namespace.ts'
import { POOLS } from '../../src/run/paths.ts'
import {
  beforeUnmount,
  cannotMount,
  guestmemfs,
  mountTestPool,
  printedIn,
  runInTree,
  testMountPoint,
  testPoolName,
} from './support.ts'

const hidden = hiddenProcesses()

const nested = ['--pid', '--fork', '--mount-proc']
const procWith = (options: string) => [
  '--mount',
  'sh',
  '-ec',
  `mount -t proc -o ${options} proc /proc; exec "$@"`,
  'sh',
]
const noPtrace = ['setpriv', '--bounding-set', '-sys_ptrace', '--inh-caps', '-sys_ptrace']

test('a carve-out is refused where processes are hidden, by the name of what hides them', {
  skip: cannotMount,
  timeout: 60_000,
}, async (t) => {
  const [pool, mountPoint] = [testPoolName(t), testMountPoint(t)]
  const cases: [string, string[], RegExp][] = [
    ['nested', nested, /this is a pid namespace of its own/],
    ["the parent's /proc", ['--pid', '--fork'], /\/proc is that of another pid namespace/],
    ['subset', procWith('subset=pid'), /mounted with subset=pid/],
    ['hidepid', [...procWith('hidepid=2'), ...noPtrace], /mounted with hidepid=(2|invisible)/],
    ['no capability', ['--mount', ...noPtrace], /this process has no CAP_SYS_PTRACE/],
  ]
  for (const [name, words, says] of cases)
    for (const command of [
      ['mount', pool, mountPoint, '-o', 'store=dax'],
      ['mount', pool, mountPoint, '-o', 'store=devmem'],
      ['format', pool, '--store', 'dax'],
    ]) {
      const { status, stderr } = await runInTree('unshare', words, command)
      assert.equal(status, 1, name)
      assert.match(
        stderr,
        hidden === undefined ? says : /must see every process/,
        `${name}: ${command.join(' ')}`,
      )
      assert.match(stderr, /^guestmemfs: store=(dax|devmem) must see every process [^\n]*\n$/)
    }
})

test('a pool of memfds is refused where /proc shows no memory information, in one line', {
  skip: cannotMount,
}, async (t) => {
  const words = ['--mount', 'sh', '-ec', 'mount -t proc -o subset=pid proc /proc; exec "$@"', 'sh']
  const { stderr } = await runInTree('unshare', words, ['mount', testPoolName(t), testMountPoint(t)])
  assert.match(stderr, /^guestmemfs: [^\n]*subset=pid[^\n]*\n$/)
})

test('a machine that shows them all to root is not refused for that', {
  skip: cannotMount || hidden,
}, async (t) => {
  const words = ['mount', testPoolName(t), testMountPoint(t), '-o', 'store=dax,region=none-such']
  for (const { stderr } of [
    await guestmemfs(...words),
    await runInTree(
      'unshare',
      ['--mount', 'sh', '-ec', 'mount -t proc -o hidepid=2 proc /proc; exec "$@"', 'sh'],
      words,
    ),
  ])
    assert.doesNotMatch(stderr, /every process/)
})

/** Where the command does not see the keeper and the server of a pool, which run: words of unshare(1). */
const PLACES: Readonly<Record<string, readonly string[]>> = {
  'a nested pid namespace': nested,
  "a nested one with the parent's /proc": ['--pid', '--fork'],
  'hidepid=ptraceable without CAP_SYS_PTRACE': [...procWith('hidepid=ptraceable'), ...noPtrace],
  'no CAP_SYS_PTRACE': ['--mount', ...noPtrace],
}
/** The state of the record there. */
const RECORDS: Readonly<Record<string, (file: string) => void>> = {
  'a record': () => {},
  'no record': (file) => fs.rmSync(file),
  'half a record': (file) => fs.truncateSync(file, 40),
}

for (const [place, words] of Object.entries(PLACES))
  for (const [what, harm] of Object.entries(RECORDS))
    test(`${place}, ${what}: a living pool is not called lost, and nothing of it is taken away`, {
      skip: cannotMount || hidden,
      timeout: 120_000,
    }, async (t) => {
      const pool = await mountTestPool(t, { size: '64M' })
      fs.writeFileSync(pool.path('text'), 'kept')
      const file = join(POOLS, `${pool.pool}.json`)
      const record = fs.readFileSync(file)
      beforeUnmount(t, () => fs.writeFileSync(file, record))
      harm(file)
      const before = fs.existsSync(file) && fs.readFileSync(file, 'latin1')
      const there = (...command: string[]) => runInTree('unshare', [...words], command)
      const mounts: string[][] = [['mount', pool.pool, testMountPoint(t)]]
      if (place !== 'no CAP_SYS_PTRACE')
        mounts.push(['mount', pool.pool, testMountPoint(t), '-o', 'new,size=32M'])
      for (const command of [...mounts, ['umount', pool.pool], ['umount', '--discard', pool.pool]]) {
        // With the record, a process without CAP_SYS_PTRACE sees that the pool's processes run, and may
        // unmount it.
        if (place === 'no CAP_SYS_PTRACE' && what === 'a record' && command[0] === 'umount') continue
        const { status, stdout, stderr } = await there(...command)
        assert.deepEqual([status, stdout], [1, ''], command.join(' '))
        assert.match(
          stderr,
          /^guestmemfs: [^\n]*(cannot be seen|another pid namespace|is mounted on)[^\n]*\n$/,
          command.join(' '),
        )
      }
      const { stdout } = await there('list', '--json')
      const listed =
        stdout === '' ? undefined : printedIn('list', stdout).pools.find((each) => each.pool === pool.pool)
      assert.ok(!listed || ['unseen', 'mounted'].includes(listed.state), stdout)
      assert.equal(fs.existsSync(file) && fs.readFileSync(file, 'latin1'), before)
      assert.equal(fs.readFileSync(pool.path('text'), 'utf8'), 'kept')
    })
