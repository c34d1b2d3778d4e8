/**
 * Fifos, sockets and device nodes on a mount: made by users who may, used through the kernel, and kept
 * through every state of a pool.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { getxattr, lgetxattr, setxattr } from '../../src/linux/xattr.ts'
import { answersTo, answerTo } from './refused.ts'
import {
  asStranger,
  assertClean,
  beforeUnmount,
  cannotMount,
  guestmemfs,
  kill,
  mountTestPool,
  runProgram,
  STRANGER,
  shell,
  type TestPool,
  testMountPoint,
  until,
} from './support.ts'
import { makeNode, S_IF } from './system-calls.ts'

const options = { skip: cannotMount, timeout: 120_000 }
const run = promisify(execFile)

/** The output of stat(1) for every name: type, mode, owner, links, device number, inode, times of change. */
const told = ({ mountPoint }: TestPool): string =>
  shell(`cd '${mountPoint}'; find . -mindepth 1 -exec stat -c '%n %F %a %u %g %h %t:%T %i %Y %Z' {} + | sort`)

/** Makes one of each; `zero` is the device of /dev/zero. */
function makeAll({ path }: TestPool): void {
  shell(`cd '${path()}'; mkdir d; mkfifo -m 640 fifo; mknod zero c 1 5; mknod -m 660 disk b 259 1048575`)
  shell(`cd '${path()}'; chown 12:34 disk; ln disk d/again; mv fifo d/fifo; mknod wide c 511 70000`)
}

/** Makes a socket: bind(2) does, in the process that listens on it. */
async function listen(path: string) {
  const server = createServer((socket) => socket.end('heard'))
  server.listen(path)
  await once(server, 'listening')
  return server
}

async function hear(path: string): Promise<string> {
  const socket = connect(path)
  let heard = ''
  for await (const piece of socket) heard += piece
  return heard
}

test(
  'they are of the types that stat shows, work through the kernel, and outlive servers and keepers',
  options,
  async (t) => {
    const pool = await mountTestPool(t, { size: '32M' })
    const { path, mountPoint } = pool
    makeAll(pool)
    const server = await listen(path('socket'))
    beforeUnmount(t, () => server.close())
    assert.equal(await hear(path('socket')), 'heard')

    const tree = told(pool)
    assert.match(tree, /^\.\/d\/fifo fifo 640 0 0 1 0:0 /m)
    assert.match(tree, /^\.\/disk block special file 660 12 34 2 103:fffff /m)
    assert.match(tree, /^\.\/d\/again block special file 660 12 34 2 103:fffff /m)
    assert.match(tree, /^\.\/zero character special file 644 0 0 1 1:5 /m)
    assert.match(tree, /^\.\/wide character special file 644 0 0 1 1ff:11170 /m)
    assert.match(tree, /^\.\/socket socket 755 0 0 1 0:0 /m)
    const types = fs.readdirSync(mountPoint, { withFileTypes: true })
    assert.deepEqual(
      types
        .filter((entry) => entry.isSocket() || entry.isCharacterDevice())
        .map(({ name }) => name)
        .sort(),
      ['socket', 'wide', 'zero'],
    )
    assert.equal(fs.statfsSync(mountPoint).bfree, 16, 'none of them takes a block')
    assert.equal(setxattr(path('zero'), 'trusted.note', Buffer.from('kept')), undefined)
    assert.equal(
      answerTo(() => setxattr(path('zero'), 'user.note', Buffer.from('no'))),
      'EPERM',
      'as everywhere on Linux',
    )
    const check = async (): Promise<void> => {
      const fd = fs.openSync(path('zero'), 'r')
      const bytes = Buffer.alloc(4, 7)
      fs.readSync(fd, bytes)
      fs.closeSync(fd)
      assert.deepEqual(bytes, Buffer.alloc(4))
      const { stdout } = await run('sh', ['-c', 'cat "$0" & echo through > "$0"; wait', path('d', 'fifo')], {
        timeout: 20_000,
      })
      assert.equal(stdout, 'through\n')
      assert.deepEqual(lgetxattr(path('zero'), 'trusted.note'), Uint8Array.from(Buffer.from('kept')))
    }
    await check()
    const kept = told(pool)
    await kill(pool.serverPid())
    assert.equal(told(pool), kept)
    assert.equal(await hear(path('socket')), 'heard', 'who listens goes on')
    await kill(pool.keeperPid())
    const adopted = await guestmemfs('mount', pool.pool, mountPoint)
    assert.deepEqual([adopted.stderr, adopted.status], ['', 0])
    assert.equal(told(pool), kept)
    await check()
    server.close()
    await once(server, 'close')
    makeSocketStay(pool)

    const last = told(pool)
    assert.equal((await guestmemfs('umount', pool.pool)).status, 0)
    assert.equal((await guestmemfs('mount', pool.pool, mountPoint)).status, 0)
    assert.equal(told(pool), last)
    await check()
    await assertClean(pool.pool)
    shell(`cd '${mountPoint}'; rm -r d zero disk wide left`)
    assert.deepEqual(fs.readdirSync(mountPoint), [])
  },
)

/** Node unlinks a socket that it has bound: this makes one that stays. */
function makeSocketStay({ path }: TestPool): void {
  shell(
    `perl -MSocket -e 'socket(S,PF_UNIX,SOCK_STREAM,0); bind(S, sockaddr_un($ARGV[0])) or die $!' '${path('left')}'`,
  )
  assert.ok(fs.lstatSync(path('left')).isSocket())
}

test('the kernel decides who makes a device, and the mount’s flags whether it opens', options, async (t) => {
  const pool = await mountTestPool(t, { size: '32M' })
  const { path } = pool
  fs.chmodSync(pool.mountPoint, 0o1777)
  const stranger = async (...words: string[]): Promise<string> => {
    // By names in its folder: the unprivileged user may not be able to enter the folders above the mount.
    const { status, stderr } = await runProgram('setpriv', [...asStranger(), ...words], {
      cwd: pool.mountPoint,
    })
    return status === 0 ? 'ok' : /Operation not permitted/.test(stderr) ? 'EPERM' : stderr
  }
  assert.deepEqual(
    [
      await stranger('mkfifo', 'fifo'),
      await stranger('mknod', 'null', 'c', '1', '3'),
      await stranger('mknod', 'disk', 'b', '7', '0'),
    ],
    ['ok', 'EPERM', 'EPERM'],
  )
  const { uid, gid } = fs.statSync(path('fifo'))
  assert.deepEqual({ uid, gid }, STRANGER)

  shell(`mknod '${path('null')}' c 1 3`)
  assert.equal(
    answerTo(() => fs.closeSync(fs.openSync(path('null'), 'r'))),
    'ok',
  )
  assert.equal((await guestmemfs('umount', pool.pool)).status, 0)
  const nodev = await guestmemfs('mount', pool.pool, pool.mountPoint, '-o', 'nodev')
  assert.equal(nodev.status, 0, nodev.stderr)
  assert.equal(
    answerTo(() => fs.closeSync(fs.openSync(path('null'), 'r'))),
    'EACCES',
  )
  assert.ok(fs.statSync(path('null')).isCharacterDevice())
})

test(
  'nodev keeps root itself from devices, as on tmpfs, by whatever command it comes',
  options,
  async (t) => {
    const pool = await mountTestPool(t, { size: '32M' })
    const [tmpfs, bound] = [testMountPoint(t), testMountPoint(t)]
    shell(`mount -t tmpfs tmpfs '${tmpfs}'`)
    const nodes = { null: 'c 1 3', zero: 'c 1 5', none: 'c 240 7', disk: 'b 7 0', fifo: 'p' }
    const opened = (folder: string) =>
      answersTo(
        Object.fromEntries(
          // A fifo is no device; O_NONBLOCK, because no process writes to it.
          Object.keys(nodes).map((name) => [
            name,
            () =>
              fs.closeSync(fs.openSync(join(folder, name), fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)),
          ]),
        ),
      )
    for (const folder of [tmpfs, pool.mountPoint])
      for (const [name, node] of Object.entries(nodes)) shell(`mknod '${join(folder, name)}' ${node}`)
    const both = (): Record<string, string> => {
      assert.deepEqual(opened(pool.mountPoint), opened(tmpfs))
      return opened(pool.mountPoint)
    }
    const refused = { null: 'EACCES', zero: 'EACCES', none: 'EACCES', disk: 'EACCES', fifo: 'ok' }
    const first = both()
    assert.deepEqual([first.null, first.zero, first.none], ['ok', 'ok', 'ENXIO'])
    const remount = async (flag: string): Promise<void> => {
      shell(`mount -o remount,${flag} '${tmpfs}'`)
      const { status, stderr } = await guestmemfs(
        'mount',
        pool.pool,
        pool.mountPoint,
        '-o',
        `remount,${flag}`,
      )
      assert.deepEqual([stderr, status], ['', 0])
    }
    await remount('nodev')
    assert.deepEqual(both(), refused)
    await remount('dev')
    assert.deepEqual(both(), first)
    shell(`mount --bind '${pool.mountPoint}' '${bound}'; mount -o remount,bind,nodev '${bound}'`)
    assert.deepEqual(opened(bound), refused)
    assert.deepEqual(both(), first)
    shell(`umount '${bound}'`)
    await kill(pool.serverPid())
    await remount('nodev')
    assert.deepEqual(both(), refused)
  },
)

test(
  'rename, link, unlink, truncate and a freeze have the results that they have for files',
  options,
  async (t) => {
    const pool = await mountTestPool(t, { size: '32M' })
    const { path } = pool
    makeAll(pool)
    fs.writeFileSync(path('file'), 'text')
    assert.deepEqual(
      answersTo({
        'rename over a file': () => fs.renameSync(path('zero'), path('file')),
        'rename a file over it': () => {
          fs.writeFileSync(path('other'), 'other')
          fs.renameSync(path('other'), path('wide'))
        },
        'rename over a directory': () => fs.renameSync(path('file'), path('d')),
        truncate: () => fs.truncateSync(path('d', 'fifo'), 0),
        rmdir: () => fs.rmdirSync(path('d', 'fifo')),
        readlink: () => fs.readlinkSync(path('d', 'fifo')),
        chmod: () => fs.chmodSync(path('d', 'fifo'), 0o600),
        'mknod over it': () => makeNode(path('disk'), S_IF.fifo),
      }),
      {
        'rename over a file': 'ok',
        'rename a file over it': 'ok',
        'rename over a directory': 'EISDIR',
        truncate: 'EINVAL',
        rmdir: 'ENOTDIR',
        readlink: 'EINVAL',
        chmod: 'ok',
        'mknod over it': 'EEXIST',
      },
    )
    assert.ok(fs.statSync(path('file')).isCharacterDevice())
    assert.equal(fs.readFileSync(path('wide'), 'utf8'), 'other')
    assert.equal((await guestmemfs('freeze', pool.pool)).status, 0)
    assert.equal(
      answerTo(() => makeNode(path('late'), S_IF.fifo)),
      'EBUSY',
    )
    assert.equal((await guestmemfs('thaw', pool.pool)).status, 0)
  },
)

test('an unlinked fifo that is open goes on, and is gone when it is closed', options, async (t) => {
  const pool = await mountTestPool(t, { size: '32M' })
  const { path } = pool
  shell(`mkfifo '${path('fifo')}'`)
  const fd = fs.openSync(path('fifo'), 'r+')
  fs.unlinkSync(path('fifo'))
  fs.writeSync(fd, 'still')
  const bytes = Buffer.alloc(5)
  fs.readSync(fd, bytes)
  assert.equal(bytes.toString(), 'still')
  assert.equal(fs.fstatSync(fd).nlink, 0)
  await kill(pool.serverPid())
  fs.writeSync(fd, 'again')
  fs.closeSync(fd)
  await assertClean(pool.pool)
  const orphans = () =>
    JSON.parse(Buffer.from(getxattr(pool.mountPoint, 'guestmemfs.health') as Uint8Array).toString()).orphans
  await until('nothing is left of it', () => orphans() === 0)
})
