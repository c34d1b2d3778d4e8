/**
 * Carve-outs where /proc does not show every process: the mount refuses them in one line, before it looks for
 * holders.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hiddenProcesses } from '../../src/linux/pid-namespace.ts'
import { cannotMount, guestmemfs, runInTree, testMountPoint, testPoolName } from './support.ts'

const hidden = hiddenProcesses()

test('a carve-out is refused where processes are hidden, by the name of what hides them', {
  skip: cannotMount,
  timeout: 60_000,
}, async (t) => {
  const [pool, mountPoint] = [testPoolName(t), testMountPoint(t)]
  const nested = ['--pid', '--fork', '--mount-proc']
  const procWith = (options: string) => [
    '--mount',
    'sh',
    '-ec',
    `mount -t proc -o ${options} proc /proc; exec "$@"`,
    'sh',
  ]
  const noPtrace = ['setpriv', '--bounding-set', '-sys_ptrace', '--inh-caps', '-sys_ptrace']
  const cases: [string, string[], RegExp][] = [
    ['nested', nested, /this is a pid namespace of its own/],
    ["the parent's /proc", ['--pid', '--fork'], /this is a pid namespace of its own/],
    ['subset', procWith('subset=pid'), /mounted with subset=pid/],
    ['hidepid', [...procWith('hidepid=2'), ...noPtrace], /mounted with hidepid=(2|invisible)/],
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
