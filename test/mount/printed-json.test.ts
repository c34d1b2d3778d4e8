/**
 * What each command prints with --json, on a real pool, is what its schema says (`printed` refuses anything
 * else). Those of a region and of a handover are in the testbed, those of guests in test/vm.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { OUTPUTS, type Outputs } from '../../src/cli/json/outputs.ts'
import { readPrinted } from '../../testbed/printed-json.ts'
import { cannotMount, guestmemfs, printed, testMountPoint, testPoolName } from './support.ts'

const MIB = 1024 * 1024
/** They need memory set aside at boot, or to set aside; a kernel with LUO. */
const ELSEWHERE = ['format', 'reserve', 'handover']

test('what each command prints with --json is what its schema says', { skip: cannotMount }, async (t) => {
  const [pool, mountPoint] = [testPoolName(t), testMountPoint(t)]
  const seen = new Set<string>(ELSEWHERE)
  const run = async <Command extends keyof Outputs>(command: Command, ...words: string[]) => {
    seen.add(command)
    return await printed(command, ...words)
  }

  const mounted = { pool, mountPoint, sizeBytes: 64 * MIB, how: 'new', reports: null }
  assert.deepEqual(await run('mount', pool, mountPoint, '-o', 'size=64M'), mounted)
  assert.deepEqual(await run('mount', pool, mountPoint, '-o', 'remount,size=96M'), {
    ...mounted,
    sizeBytes: 96 * MIB,
    how: 'remounted',
  })
  fs.writeFileSync(`${mountPoint}/text`, 'text')
  fs.writeFileSync(`${mountPoint}/ram`, '')
  fs.truncateSync(`${mountPoint}/ram`, 4 * MIB)

  const listed = (await run('list')).pools.find((each) => each.pool === pool)
  assert.deepEqual(
    [listed?.state, listed?.sizeBytes, listed?.ram.map(({ file }) => file)],
    ['mounted', 96 * MIB, ['ram']],
  )
  const status = await run('status', pool)
  assert.deepEqual(
    [status.pool, status.mountPoint, status.identity.name, status.geometry.totalBytes],
    [pool, mountPoint, pool, 96 * MIB],
  )
  assert.deepEqual(
    [status.processes.keeper?.pid, status.processes.server.pid, status.guests, status.findings],
    [listed?.keeperPid, listed?.serverPid, [], []],
  )
  assert.deepEqual(await run('freeze', pool), { pool, mountPoint, frozen: true, changed: true })
  assert.deepEqual(await run('thaw', mountPoint), { pool, mountPoint, frozen: false, changed: true })
  assert.equal((await run('upgrade', pool)).image.after, (await run('upgrade', pool)).image.before)

  assert.deepEqual(await run('vms', pool), { vms: [] })
  assert.deepEqual(await run('resume', pool), { reports: [] })
  assert.deepEqual(await run('report', pool), { reports: [] })
  const words = ['--kernel', '/nowhere/vmlinuz', '--dry-run', pool]
  const { ready, plan, findings, reports } = await run('live-update', ...words)
  assert.deepEqual([ready, plan?.kernel, plan?.next, reports], [false, '/nowhere/vmlinuz', null, []])
  assert.ok(findings.some(({ severity }) => severity === 'error'))
  const rehearsed = await run('live-update', '--kernel', '/nowhere/vmlinuz', '--rehearse', pool)
  assert.deepEqual([rehearsed.ready, rehearsed.rehearsal?.load?.outcome], [false, 'left-out'])

  assert.ok((await run('doctor')).findings.length > 10)
  const { named, findings: faults } = await run('fsck', pool)
  assert.deepEqual([named, faults.filter(({ severity }) => severity === 'error')], [pool, []])
  seen.add('dump')
  const dumped = readPrinted('dump', (await guestmemfs('dump', pool)).stdout)
  assert.deepEqual([dumped.header.poolName, dumped.summary.inodes.file], [pool, 2])
  assert.deepEqual(await run('umount', '--discard', pool), { named: pool, result: 'discarded' })

  assert.deepEqual([...seen].sort(), Object.keys(OUTPUTS).sort())
})

test('a command that fails before it has a result prints no JSON', { skip: cannotMount }, async () => {
  for (const words of [['status'], ['freeze'], ['umount'], ['fsck'], ['vms'], ['resume'], ['report']]) {
    const { status, stdout, stderr } = await guestmemfs(...words, '--json', '/no/such/pool')
    assert.deepEqual([status, stdout], [1, ''], words.join())
    assert.match(stderr, /^guestmemfs: [^\n]+\n$/, words.join())
  }
})
