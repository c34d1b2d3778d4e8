/**
 * Where the kernel refuses a server's system call (here the size of a memfd, by a limit on its process), the
 * caller gets the errno, and the server does not end.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { poolLogLines } from './pool-log.ts'
import {
  assertClean,
  CLI,
  cannotMount,
  mountTestPool,
  nodeAsStranger,
  runProgram,
  shell,
  testMountPoint,
  testPool,
  testPoolName,
  until,
} from './support.ts'

const MIB = 1024 * 1024
const options = { skip: cannotMount, timeout: 60_000 }

function attempt(work: () => unknown): string {
  try {
    work()
    return 'ok'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

test('a limit on the size of the memory of files is EFBIG, and the server serves on', options, async (t) => {
  const pool = await mountTestPool(t, { size: '64M' })
  const { path } = pool
  fs.chmodSync(pool.mountPoint, 0o777)
  fs.writeFileSync(path('notes'), Buffer.alloc(MIB, 1))
  fs.writeFileSync(path('small'), 'small')
  fs.chmodSync(path('notes'), 0o666)
  const server = pool.serverPid()
  // Its successors inherit the keeper's limit.
  for (const pid of [server, pool.keeperPid()]) shell(`prlimit --pid ${pid} --fsize=${2 * MIB}:${2 * MIB}`)

  const fd = fs.openSync(path('notes'), 'r+')
  assert.equal(
    attempt(() => fs.writeSync(fd, Buffer.alloc(MIB, 2), 0, MIB, 3 * MIB)),
    'EFBIG',
  )
  assert.equal(
    attempt(() => fs.ftruncateSync(fd, 4 * MIB)),
    'EFBIG',
  )
  assert.equal(
    attempt(() => fs.writeFileSync(path('ram'), '')),
    'ok',
  )
  assert.equal(
    attempt(() => fs.truncateSync(path('ram'), 8 * MIB)),
    'EFBIG',
  )
  const wanted = `require('node:fs').writeFileSync(${JSON.stringify(path('notes'))}, Buffer.alloc(${3 * MIB}, 3))`
  const { stderr } = await nodeAsStranger(['-e', wanted], { cwd: '/' })
  assert.match(stderr, /EFBIG/)

  assert.equal(pool.serverPid(), server, 'the same server still serves')
  assert.equal(fs.statSync(path('ram')).size, 0)
  assert.equal(fs.readFileSync(path('small'), 'latin1'), 'small')
  fs.ftruncateSync(fd, 0)
  assert.equal(fs.writeSync(fd, Buffer.alloc(2 * MIB, 4), 0, 2 * MIB, 0), 2 * MIB)
  fs.closeSync(fd)
  assert.ok(fs.readFileSync(path('notes')).equals(Buffer.alloc(2 * MIB, 4)))
  await assertClean(pool.pool)
  // No server died: the pool's log is short enough to have every line.
  assert.ok(poolLogLines(pool.pool).every((line) => !line.includes('died')))
})

test('a keeper that the OOM killer may take says so once', options, async (t) => {
  const [pool, mountPoint] = [testPoolName(t), testMountPoint(t)]
  const without = ['--inh-caps=-sys_resource', '--bounding-set=-sys_resource', process.execPath, CLI]
  const mounted = await runProgram('setpriv', [...without, 'mount', pool, mountPoint, '-o', 'size=64M'])
  assert.equal(mounted.stderr, '')
  const restarted = testPool(pool, mountPoint)
  const server = restarted.serverPid()
  process.kill(server, 'SIGKILL')
  await until('another server serves', () => restarted.serverPid() !== server)
  const lines = poolLogLines(pool).filter((line) => line.includes('OOM killer'))
  assert.equal(lines.length, 1, poolLogLines(pool).join('\n'))
  assert.match(lines[0] ?? '', /CAP_SYS_RESOURCE/)
})
