/**
 * Tests of the messages of `run` about RAM files that it cannot use: the reason, and the command that
 * corrects it.
 */
import assert from 'node:assert/strict'
import { chmodSync, existsSync, linkSync, renameSync, truncateSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { guestmemfs, until } from '../mount/support.ts'
import {
  listVms,
  mountVmPool,
  QEMU,
  qemuPid,
  ramOptions,
  SMALL_MACHINE,
  startTinyVm,
  type VmPool,
  vmName,
} from './support.ts'

const run = (pool: VmPool, file: string, ...words: string[]) =>
  guestmemfs(
    ...['run', '--name', vmName('refused'), '--pool', pool.mountPoint, ...words, '--', QEMU],
    ...[...SMALL_MACHINE, ...ramOptions(pool.path(file), '2M')],
  )

test('a RAM file that was written by dd or cp', async (t) => {
  const pool = await mountVmPool(t)
  writeFileSync(pool.path('written'), Buffer.alloc(2 << 20, 1))
  const { status, stderr } = await run(pool, 'written')
  assert.equal(status, 1)
  assert.match(
    stderr,
    /was written as an ordinary one and is no guest RAM: make it anew \('rm', then 'truncate -s'\)/,
  )
})

test('a directory that is root’s, and a QEMU that is not', async (t) => {
  const pool = await mountVmPool(t)
  chmodSync(pool.mountPoint, 0o755)
  const { status, stderr } = await run(pool, 'ram', '--user', 'nobody')
  assert.equal(status, 1)
  assert.match(stderr, /permission denied to nobody, as whom QEMU runs: 'chown nobody .*', or --user root/)
})

/** A backend of 64 MiB for each file, and a NUMA node for each. */
const twoNodes = (pool: VmPool, ...files: string[]): string[] => [
  ...['-m', '128M'],
  ...files.flatMap((file, node) => [
    ...['-object', `memory-backend-file,id=ram${node},size=64M,mem-path=${pool.path(file)},share=on`],
    ...['-numa', `node,nodeid=${node},memdev=ram${node}`],
  ]),
]

test('what is refused for its second RAM file has made no first one, and the former record stays', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'former')
  process.kill(qemuPid(vm.name), 'SIGKILL')
  assert.equal(await vm.ended, 128 + 9)
  const before = await listVms(pool)
  writeFileSync(pool.path('small'), '')
  truncateSync(pool.path('small'), 2 << 20)
  const line = ['--', QEMU, ...SMALL_MACHINE]
  const anew = ['run', '--name', vmName('anew'), '--pool', pool.mountPoint]

  const other = await guestmemfs(...anew, ...line, ...twoNodes(pool, 'first', 'small'))
  assert.match(other.stderr, /small has 2M, its size=64M is more: make both the same/)
  assert.equal(existsSync(pool.path('first')), false)

  const same = await guestmemfs(...anew, '--replace', ...line, ...twoNodes(pool, 'former', 'small'))
  assert.match(same.stderr, /small has 2M, its size=64M is more: make both the same/)
  assert.deepEqual(await listVms(pool), before)
})

test('RAM that another VM has is refused under each name of its file, and its record stays', async (t) => {
  const pool = await mountVmPool(t)
  const vm = await startTinyVm(t, pool, 'theirs')
  linkSync(pool.path('theirs'), pool.path('link'))
  const linked = await run(pool, 'link', '--replace')
  assert.match(linked.stderr, /VM theirs-\d+ on \S+theirs is running \(process \d+\)/)
  renameSync(pool.path('theirs'), pool.path('renamed'))
  for (const option of [[], ['--replace']]) {
    const refused = await run(pool, 'renamed', ...option)
    assert.match(refused.stderr, /is recorded on \S+renamed but its RAM is \S+theirs: rename the file back/)
  }
  renameSync(pool.path('renamed'), pool.path('theirs'))
  await vm.serial.moreTicks(2)
  assert.deepEqual(
    (await listVms(pool)).map(({ name, state }) => [name, state]),
    [[vm.name, 'running']],
  )
})

test('--replace takes the record of a VM away that has one of the RAM files', async (t) => {
  const pool = await mountVmPool(t)
  const name = vmName('pair')
  const pair = ['run', '--name', name, '--pool', pool.mountPoint, '--', QEMU, ...SMALL_MACHINE, '-daemonize']
  const started = await guestmemfs(...pair, ...twoNodes(pool, 'one', 'two'))
  assert.equal(started.status, 0, started.stderr)
  process.kill(qemuPid(name), 'SIGKILL')
  await until('it is dead', async () => (await listVms(pool))[0]?.state === 'dead')
  const taking = await startTinyVm(t, pool, 'two', { runOptions: ['--replace'] })
  assert.deepEqual(
    (await listVms(pool)).map((each) => each.name),
    [taking.name],
  )
})
