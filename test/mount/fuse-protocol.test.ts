/** Tests that the protocol layer works with a real kernel, by a server with one file. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { invalidateAttr } from '../../src/fuse/notify.ts'
import { close } from '../../src/linux/descriptors.ts'
import { openFuseDevice } from '../../src/linux/fuse-device.ts'
import { memfdCreate, readAt, resize } from '../../src/linux/memory.ts'
import { abortFuseConnection, MOUNT_FLAGS, mountFuse, mountTable, unmount } from '../../src/linux/mounts.ts'
import { EBUSY } from '../../src/values/errno.ts'
import type { Fd, NodeId } from '../../src/values/ids.ts'
import { cannotMount } from './support.ts'

const FILE_BYTES = 4 * 1024 * 1024
const SERVER = fileURLToPath(new URL('./protocol/one-file-server.ts', import.meta.url))
const CLIENT = fileURLToPath(new URL('./protocol/one-file-client.ts', import.meta.url))
const run = promisify(execFile)

/**
 * Other programs access the mount, each for ten seconds at most: this process must never block on it, to be
 * able to unmount it.
 */
const sh = async (script: string): Promise<string> =>
  (await run('sh', ['-c', script], { timeout: 10_000, encoding: 'latin1' })).stdout.trim()
const client = async (verb: 'contents' | 'xattrs', path: string): Promise<unknown> =>
  JSON.parse((await run(process.execPath, [CLIENT, verb, path], { timeout: 10_000 })).stdout)

interface Connection {
  readonly target: string
  readonly fuseFd: Fd
  readonly memory: Fd
  readonly minor: number
  readonly start: (role: 'first' | 'successor') => Server
}

interface Server {
  readonly child: ChildProcess
  readonly said: () => string
  readonly ended: Promise<void>
}

function connect(t: TestContext): Connection {
  const target = mkdtempSync(join(tmpdir(), 'guestmemfs-protocol-'))
  const fuseFd = openFuseDevice()
  const memory = memfdCreate('protocol', { sealable: false })
  resize(memory, FILE_BYTES)
  const options = ['allow_other', 'default_permissions']
  assert.equal(
    mountFuse({ fuseFd, source: 'protocol-test', target, flags: MOUNT_FLAGS.nosuid, options }),
    undefined,
  )
  const minor = mountTable().find((mount) => mount.target === target)?.minor ?? -1
  const servers: Server[] = []
  t.after(async () => {
    // Unmounted already, its number may be that of another test's mount.
    if (mountTable().some((mount) => mount.target === target)) abortFuseConnection(minor)
    unmount(target, { lazy: true })
    for (const { child, ended } of servers) {
      child.kill('SIGKILL')
      await ended
    }
    close(fuseFd)
    close(memory)
    rmdirSync(target)
  })
  const start = (role: string): Server => {
    const child = spawn(process.execPath, [SERVER, role], {
      stdio: ['ignore', 'pipe', 'inherit', fuseFd, memory],
    })
    let text = ''
    child.stdout?.on('data', (data) => {
      text += data
    })
    const server = {
      child,
      said: () => text,
      ended: new Promise<void>((done) => child.once('exit', () => done())),
    }
    servers.push(server)
    return server
  }
  return { target, fuseFd, memory, minor, start }
}

const options = { skip: cannotMount, timeout: 60_000 }

test('a directory is listed, a file described, the file system counted', options, async (t) => {
  const { target, start } = connect(t)
  const server = start('first')
  assert.equal(await sh(`ls -a ${target}`), '.\n..\nfile')
  assert.equal(
    await sh(`ls -ln --time-style=+%s ${target} | tail -1`),
    `-rw-r----- 1 7 8 ${FILE_BYTES} 1000000000 file`,
  )
  assert.equal(
    await sh(`stat -c '%a %h %u %g %s %b %y' ${target}/file`),
    '640 1 7 8 4194304 8192 2001-09-09 01:46:40.000000005 +0000',
  )
  assert.equal(await sh(`stat -c %W ${target}/file`), '0', 'there is no STATX, and no birth time')
  assert.equal(await sh(`stat -f -c '%b %f %a %c %d %s %l' ${target}`), '10 5 4 3 2 4096 255')
  await assert.rejects(sh(`stat ${target}/other`), /No such file/)
  assert.match(server.said(), /^flags2 160\n/)
})

test('mmap reaches the memory itself, read and write come to the server', options, async (t) => {
  const { target, memory, start } = connect(t)
  start('first')
  assert.deepEqual(await client('contents', `${target}/file`), [0, 'AAA', 1024 * 1024, 103])
  const byte = new Uint8Array(2)
  readAt(memory, FILE_BYTES - 2, byte)
  assert.deepEqual([...byte], [0, 42])
  readAt(memory, 0, byte)
  assert.deepEqual([...byte], [0, 0], 'the write did not go to the memory')
})

test('xattrs; a reply the kernel does not take becomes EIO and the server goes on', options, async (t) => {
  const { target, start } = connect(t)
  const server = start('first')
  const seen = await client('xattrs', `${target}/file`)
  assert.deepEqual(seen, ['value', 'ENODATA', 'undefined', 'EIO', 'value'])
  assert.match(server.said(), /set user.new to bytes/)
})

test('the kernel answers which node ids it still has', options, async (t) => {
  const { target, fuseFd, start } = connect(t)
  start('first')
  await sh(`stat ${target}/file`)
  assert.equal(invalidateAttr(fuseFd, 2n as NodeId), true)
  assert.equal(invalidateAttr(fuseFd, 77n as NodeId), false)
})

test(
  'a killed server: the mount stays, and its successor gets the request again and answers it',
  options,
  async (t) => {
    const { target, start } = connect(t)
    const first = start('first')
    assert.equal(await sh(`cat ${target}/file | head -c 3`), 'AAA')
    const waiting = sh(`stat -c %s ${target}/deadly`)
    await first.ended
    const second = start('successor')
    assert.equal(await waiting, String(FILE_BYTES))
    assert.match(second.said(), /resend: undefined\nasked again: true\n/)
    // Backing ids belong to the connection, and the successor gets another one, so no open file may be left
    // from before.
    assert.equal(await sh(`head -c 3 ${target}/file`), 'AAA')
  },
)

test('unmounting ends the session; an aborted connection as well', options, async (t) => {
  const first = connect(t)
  const server = first.start('first')
  const busy = spawn('sh', ['-c', `cd ${first.target} && echo in && exec sleep 60`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  await new Promise((done) => busy.stdout.once('data', done))
  assert.equal(unmount(first.target, { lazy: false }), EBUSY)
  busy.kill('SIGKILL')
  await new Promise((done) => busy.once('exit', done))
  assert.equal(unmount(first.target, { lazy: false }), undefined)
  await server.ended
  assert.match(server.said(), /unmounted\n$/)

  const second = connect(t)
  const aborted = second.start('first')
  await sh(`ls ${second.target}`)
  assert.equal(abortFuseConnection(second.minor), undefined)
  await aborted.ended
  assert.match(aborted.said(), /unmounted\n$/)
})
