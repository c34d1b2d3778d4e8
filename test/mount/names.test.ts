/** Tests that names behave as POSIX and Linux define them, through a real kernel. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { answersTo, answerTo } from './refused.ts'
import { cannotMount, folders, mountTestPool } from './support.ts'
import { makeNode, S_IF } from './system-calls.ts'

/** The type in a mode (stat.h). */
const S_IFMT = 0o170000
const options = { skip: cannotMount, timeout: 60_000 }

const read = (path: string): string => fs.readFileSync(path, 'utf8')
const ino = (path: string): number => fs.lstatSync(path).ino
const links = (path: string): number => fs.lstatSync(path).nlink

test('names', options, async (t) => {
  const folder = folders(await mountTestPool(t))

  await t.test('names are bytes: 255 of them, any but slash and NUL', async () => {
    const path = folder('bytes')
    const names = ['x'.repeat(255), 'new\nline', ' ', '...', '-rf', 'ü€😀'].map((name) => Buffer.from(name))
    names.push(Buffer.from([0xff, 0xfe, 0x80, 0x01]))
    const at = (name: Buffer): Buffer => Buffer.concat([Buffer.from(`${path()}/`), name])
    for (const name of names) fs.writeFileSync(at(name), name)
    const listed = fs.readdirSync(path(), 'buffer')
    assert.deepEqual(listed.toSorted(Buffer.compare), names.toSorted(Buffer.compare))
    for (const name of names) assert.deepEqual(fs.readFileSync(at(name)), name)
    assert.equal(
      answerTo(() => fs.writeFileSync(path('x'.repeat(256)), '')),
      'ENAMETOOLONG',
    )
    assert.equal(
      answerTo(() => fs.symlinkSync('x'.repeat(4096), path('s'))),
      'ENAMETOOLONG',
    )
    fs.symlinkSync('y'.repeat(4095), path('s'))
    assert.equal(fs.readlinkSync(path('s')).length, 4095)
  })

  await t.test('links, symlinks and what they refuse', async () => {
    const p = folder('links')
    fs.writeFileSync(p('one'), 'one')
    fs.mkdirSync(p('dir'))
    fs.linkSync(p('one'), p('dir', 'two'))
    assert.deepEqual([links(p('one')), ino(p('one'))], [2, ino(p('dir', 'two'))])
    fs.unlinkSync(p('one'))
    assert.deepEqual([links(p('dir', 'two')), read(p('dir', 'two'))], [1, 'one'])

    fs.symlinkSync('dir/two', p('relative'))
    fs.symlinkSync('nowhere', p('dangling'))
    fs.symlinkSync('loop', p('loop'))
    assert.equal(read(p('relative')), 'one')
    // A hard link to a symlink links the symlink itself.
    fs.linkSync(p('dangling'), p('dangling2'))
    assert.deepEqual([fs.readlinkSync(p('dangling2')), links(p('dangling'))], ['nowhere', 2])

    fs.mkdirSync(p('dir', 'sub'))
    assert.equal(links(p('dir')), 3)
    const { O_CREAT, O_EXCL, O_NOFOLLOW, O_DIRECTORY, O_WRONLY } = fs.constants
    assert.deepEqual(
      answersTo({
        'create over a name': () => fs.openSync(p('dir', 'two'), O_CREAT | O_EXCL | O_WRONLY),
        'create over a dangling symlink': () => fs.openSync(p('dangling'), O_CREAT | O_EXCL | O_WRONLY),
        'open a symlink not to be followed': () => fs.openSync(p('relative'), O_NOFOLLOW),
        'open a loop': () => fs.readFileSync(p('loop')),
        'open a file as a directory': () => fs.openSync(p('dir', 'two'), O_DIRECTORY),
        'write to a directory': () => fs.openSync(p('dir'), 'w'),
        'read a directory as a file': () => fs.readFileSync(p('dir')),
        'look below a file': () => fs.statSync(p('dir', 'two', 'x')),
        'link a directory': () => fs.linkSync(p('dir'), p('dir2')),
        'link onto a name': () => fs.linkSync(p('dir', 'two'), p('relative')),
        'link from elsewhere': () => fs.linkSync('/etc/hostname', p('elsewhere')),
        'make a directory again': () => fs.mkdirSync(p('dir')),
        'make one below nothing': () => fs.mkdirSync(p('nothing', 'x')),
        'remove a full directory': () => fs.rmdirSync(p('dir')),
        'remove a file as a directory': () => fs.rmdirSync(p('relative')),
        'unlink a directory': () => fs.unlinkSync(p('dir')),
        'unlink nothing': () => fs.unlinkSync(p('nothing')),
        'read a file as a symlink': () => fs.readlinkSync(p('dir', 'two')),
      }),
      {
        'create over a name': 'EEXIST',
        'create over a dangling symlink': 'EEXIST',
        'open a symlink not to be followed': 'ELOOP',
        'open a loop': 'ELOOP',
        'open a file as a directory': 'ENOTDIR',
        'write to a directory': 'EISDIR',
        'read a directory as a file': 'EISDIR',
        'look below a file': 'ENOTDIR',
        'link a directory': 'EPERM',
        'link onto a name': 'EEXIST',
        'link from elsewhere': 'EXDEV',
        'make a directory again': 'EEXIST',
        'make one below nothing': 'ENOENT',
        'remove a full directory': 'ENOTEMPTY',
        'remove a file as a directory': 'ENOTDIR',
        'unlink a directory': 'EISDIR',
        'unlink nothing': 'ENOENT',
        'read a file as a symlink': 'EINVAL',
      },
    )
  })

  await t.test('every kind that mknod makes is what it is called', () => {
    const path = folder('nodes')
    for (const [name, type] of Object.entries(S_IF)) {
      assert.equal(
        answerTo(() => makeNode(path(name), type)),
        'ok',
        name,
      )
      const { mode, rdev, size } = fs.lstatSync(path(name))
      assert.deepEqual(
        [mode & S_IFMT, rdev, size],
        [type, ['character', 'block'].includes(name) ? 0x103 : 0, 0],
        name,
      )
    }
    assert.deepEqual(fs.readdirSync(path()).sort(), Object.keys(S_IF).sort())
  })
})
