/** Tests that rename(2) and renameat2(2) behave as documented through a real kernel. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { answersTo } from './refused.ts'
import { cannotMount, mountTestPool } from './support.ts'
import { RENAME, renameFlags } from './system-calls.ts'

const read = (path: string): string => fs.readFileSync(path, 'utf8')
const ino = (path: string): number => fs.lstatSync(path).ino
const links = (path: string): number => fs.lstatSync(path).nlink

test('rename: replacing, not replacing, exchanging, and what cannot be', {
  skip: cannotMount,
  timeout: 60_000,
}, async (t) => {
  const pool = await mountTestPool(t)
  const p = pool.path
  for (const name of ['a', 'b', 'c']) fs.writeFileSync(p(name), name)
  for (const name of ['d', 'e', 'full', 'full/x']) fs.mkdirSync(p(name))
  const b = ino(p('b'))

  fs.renameSync(p('b'), p('a'))
  assert.deepEqual([read(p('a')), ino(p('a')), fs.existsSync(p('b'))], ['b', b, false])
  fs.renameSync(p('d'), p('e'))
  assert.equal(renameFlags(p('a'), p('e', 'a'), RENAME.noreplace), undefined)
  assert.equal(renameFlags(p('c'), p('e'), RENAME.exchange), undefined)
  assert.deepEqual([read(p('e')), read(p('c', 'a'))], ['c', 'b'])
  assert.equal(links(pool.mountPoint), 2 + fs.readdirSync(pool.mountPoint).filter((n) => n !== 'e').length)
  fs.renameSync(p('full'), p('c', 'full'))
  assert.deepEqual([links(pool.mountPoint), links(p('c'))], [3, 3])
  // Two names of one file: by POSIX rename does nothing.
  fs.linkSync(p('e'), p('e2'))
  fs.renameSync(p('e'), p('e2'))
  assert.deepEqual([links(p('e')), ino(p('e'))], [2, ino(p('e2'))])

  fs.writeFileSync(p('covered'), 'below')
  assert.equal(renameFlags(p('covered'), p('uncovered'), RENAME.whiteout), undefined)
  assert.equal(fs.readFileSync(p('uncovered'), 'utf8'), 'below')
  const whiteout = fs.lstatSync(p('covered'))
  assert.deepEqual([whiteout.isCharacterDevice(), whiteout.rdev], [true, 0])

  fs.mkdirSync(p('g'))
  assert.deepEqual(
    answersTo({
      'noreplace onto a name': () => renameFlags(p('e'), p('c', 'a'), RENAME.noreplace),
      'exchange with nothing': () => renameFlags(p('e'), p('nothing'), RENAME.exchange),
      'both flags': () => renameFlags(p('e'), p('c'), RENAME.noreplace | RENAME.exchange),
      'into itself': () => fs.renameSync(p('c'), p('c', 'full', 'c')),
      'onto a full directory': () => fs.renameSync(p('g'), p('c', 'full')),
      'onto its own parent': () => fs.renameSync(p('c', 'full', 'x'), p('c', 'full')),
      'directory onto file': () => fs.renameSync(p('g'), p('e')),
      'file onto directory': () => fs.renameSync(p('e'), p('g')),
      'of nothing': () => fs.renameSync(p('nothing'), p('x')),
      'out of the mount': () => fs.renameSync(p('e'), '/tmp/never-there'),
    }),
    {
      'noreplace onto a name': 'EEXIST',
      'exchange with nothing': 'ENOENT',
      'both flags': 'EINVAL',
      'into itself': 'EINVAL',
      'onto a full directory': 'ENOTEMPTY',
      'onto its own parent': 'ENOTEMPTY',
      'directory onto file': 'ENOTDIR',
      'file onto directory': 'EISDIR',
      'of nothing': 'ENOENT',
      'out of the mount': 'EXDEV',
    },
  )
})
