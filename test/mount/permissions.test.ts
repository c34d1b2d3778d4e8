/**
 * Tests that owners, modes and times have their usual meaning on the mount, by the operations of unprivileged
 * users.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { listxattr, setxattr } from '../../src/linux/xattr.ts'
import { allAnswer, answersTo } from './refused.ts'
import { asStranger, cannotMount, folders, mountTestPool, runProgram, STRANGER, shell } from './support.ts'

/** struct vfs_cap_data, VFS_CAP_REVISION_2, with empty sets. */
const NO_CAPABILITIES = new Uint8Array(new Uint32Array([0x02000000, 0, 0, 0, 0]).buffer)

const OTHER = { uid: 61_235, gid: 61_235 }

/** An unprivileged user's shell, started inside `cwd`, also where that user could not enter it. */
async function strangersShell(cwd: string, script: string, who: typeof OTHER = STRANGER): Promise<string> {
  const { status, stdout, stderr } = await runProgram(
    'setpriv',
    [...asStranger(who), 'sh', '-c', `umask 022; ${script}`],
    { cwd },
  )
  return status === 0 ? stdout.trim() : `refused: ${/: ([^:\n]+)\n?$/.exec(stderr)?.[1] ?? stderr}`
}

function modeOf(path: string): string {
  const { mode, uid, gid } = fs.lstatSync(path)
  return `${(mode & 0o7777).toString(8)} ${uid}:${gid}`
}

test('permissions', { skip: cannotMount, timeout: 90_000 }, async (t) => {
  const folder = folders(await mountTestPool(t))

  await t.test("another user may do with root's files what their mode says", async () => {
    const path = folder('others')
    fs.writeFileSync(path('secret'), 'x', { mode: 0o600 })
    fs.writeFileSync(path('public'), 'hello', { mode: 0o644 })
    fs.mkdirSync(path('closed'), { mode: 0o700 })
    const commands = {
      'cat secret': 'Permission denied',
      'echo x > public': 'Permission denied',
      'truncate -s 0 public': 'Permission denied',
      'ls closed': 'Permission denied',
      'touch new': 'Permission denied',
      'rm -f public': 'Permission denied',
      'mv public other': 'Permission denied',
      'chmod 777 public': 'Operation not permitted',
      'chown 61234 public': 'Operation not permitted',
      'touch -hd 2001-01-01 public': 'Operation not permitted',
    }
    for (const [command, reason] of Object.entries(commands))
      assert.equal(await strangersShell(path(), command), `refused: ${reason}`, command)
    assert.equal(await strangersShell(path(), 'cat public'), 'hello')
    assert.equal(fs.readFileSync(path('public'), 'utf8'), 'hello')
  })

  await t.test(
    'what another user makes is theirs; in a setgid directory the group is the directory’s',
    async () => {
      const path = folder('shared')
      fs.chownSync(path(), 0, 50)
      fs.chmodSync(path(), 0o2777)
      const made = 'touch file; mkdir dir; ln -s file link; truncate -s 4M ram; chmod 4755 ram'
      assert.equal(await strangersShell(path(), made), '')
      assert.deepEqual(
        ['file', 'dir', 'link', 'ram'].map((name) => modeOf(path(name))),
        ['644 61234:50', '2755 61234:50', '777 61234:50', '4755 61234:50'],
      )
      // A change of owner or of contents clears the set-id bits.
      fs.chownSync(path('ram'), 61_235, 50)
      assert.equal(modeOf(path('ram')), '755 61235:50')
      fs.chmodSync(path('file'), 0o6755)
      assert.equal(await strangersShell(path(), 'echo x > file && stat -c %a file'), '755')
    },
  )

  await t.test('a program that another user wrote to does not run as its owner any more', async () => {
    const path = folder('set-id')
    const writes = { inside: 'conv=notrunc', 'beyond the end': 'oflag=append conv=notrunc' }
    for (const [where, how] of Object.entries(writes)) {
      const script = `dd if=/dev/zero of=id bs=1 count=1 seek=9 status=none ${how} && ./id -u`
      fs.copyFileSync('/usr/bin/id', path('id'))
      fs.chmodSync(path('id'), 0o6777)
      assert.equal(setxattr(path('id'), 'security.capability', NO_CAPABILITIES), undefined)
      assert.equal(await strangersShell(path(), './id -u'), '0', 'set-id works here')
      // The kernel checks the mode that it has cached: no call before may have fetched it.
      assert.equal(await strangersShell(path(), script), String(STRANGER.uid), where)
      assert.equal(modeOf(path('id')), '777 0:0', where)
      assert.deepEqual(listxattr(path('id')), [], where)
      fs.rmSync(path('id'))
    }
    fs.copyFileSync('/usr/bin/id', path('id'))
    fs.chmodSync(path('id'), 0o6755)
    fs.appendFileSync(path('id'), 'x')
    assert.equal(modeOf(path('id')), '6755 0:0', 'who may keep them does')
  })

  await t.test('in a sticky directory no user removes another user’s file', async () => {
    const path = folder('sticky')
    fs.chmodSync(path(), 0o1777)
    assert.equal(await strangersShell(path(), 'touch mine; mkdir dir'), '')
    for (const command of ['rm -f mine', 'mv mine other', 'rmdir dir'])
      assert.equal(await strangersShell(path(), command, OTHER), 'refused: Operation not permitted', command)
    assert.equal(await strangersShell(path(), 'mv mine other && rm other && rmdir dir'), '')
  })

  await t.test('times are kept to the nanosecond and move with what happens', async () => {
    const path = folder('times')
    const times = (name: string): string => shell(`stat -c '%x|%y' '${path(name)}'`).trim()
    fs.writeFileSync(path('file'), '1')
    shell(`touch -ad @1000000000.123456789 '${path('file')}'; touch -md @-1.5 '${path('file')}'`)
    assert.equal(
      shell(`TZ=UTC stat -c '%x|%y' '${path('file')}'`).trim(),
      '2001-09-09 01:46:40.123456789 +0000|1969-12-31 23:59:58.500000000 +0000',
    )
    const [before, ctime] = [times('file'), fs.statSync(path('file')).ctimeMs]
    fs.chmodSync(path('file'), 0o600)
    assert.equal(times('file'), before)
    assert.ok(fs.statSync(path('file')).ctimeMs >= ctime)
    const now = Date.now() - 1000
    const moved = {
      write: () => fs.appendFileSync(path('file'), '2'),
      truncate: () => fs.truncateSync(path('file'), 10),
    }
    for (const [what, change] of Object.entries(moved)) {
      fs.utimesSync(path('file'), 1, 1)
      change()
      assert.ok(fs.statSync(path('file')).mtimeMs > now, `${what} moves mtime`)
    }
    for (const change of [
      () => fs.writeFileSync(path('new'), ''),
      () => fs.renameSync(path('new'), path('new2')),
      () => fs.unlinkSync(path('new2')),
    ]) {
      fs.utimesSync(path(), 1, 1)
      change()
      assert.ok(fs.statSync(path()).mtimeMs > now, "a change of names moves the directory's mtime")
    }
  })

  await t.test('root needs no permission, but may not write where no user may', () => {
    const path = folder('root')
    fs.writeFileSync(path('file'), 'x', { mode: 0 })
    const operations = {
      read: () => fs.readFileSync(path('file')),
      write: () => fs.writeFileSync(path('file'), 'y'),
      chown: () => fs.chownSync(path('file'), 5, 5),
    }
    assert.deepEqual(answersTo(operations), allAnswer(operations, 'ok'))
    assert.deepEqual(answersTo({ execute: () => fs.accessSync(path('file'), fs.constants.X_OK) }), {
      execute: 'EACCES',
    })
  })
})
