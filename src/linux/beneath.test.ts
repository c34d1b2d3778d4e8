import assert from 'node:assert/strict'
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ELOOP, ENOENT, ENOTDIR, Errno, EXDEV } from '../values/errno.ts'
import type { Fd } from '../values/ids.ts'
import {
  type Base,
  mountOver,
  openBeneath,
  pathProblem,
  removePlace,
  withMount,
  withPlace,
} from './beneath.ts'
import { baseAt } from './testing/base-at.ts'

interface Ground {
  readonly base: Base
  /** A folder beside the base, which root alone would write. */
  readonly outside: string
  readonly inside: (...names: string[]) => string
}

function groundOf(t: TestContext): Ground {
  const folder = mkdtempSync(join(tmpdir(), 'beneath-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const [root, outside] = [join(folder, 'mount'), join(folder, 'outside')]
  for (const path of [root, outside, join(root, 'theirs')]) mkdirSync(path)
  return { base: baseAt(root), outside, inside: (...names) => join(root, ...names) }
}

/** Makes `path` as root does below a mount. */
function make(path: string, base: Base): Errno | undefined {
  const { O_CREAT, O_EXCL, O_WRONLY } = constants
  const fd = withPlace(
    path,
    ({ directory, name }) => openBeneath(directory, name, O_CREAT | O_EXCL | O_WRONLY, 0o600),
    base,
  )
  if (fd instanceof Errno) return fd
  closeSync(fd)
  return undefined
}

test('a file is made, reached by its place and taken away', (t) => {
  const { base, inside } = groundOf(t)
  const path = inside('theirs', 'file')
  assert.equal(make(path, base), undefined)
  assert.equal(statSync(path).mode & 0o7777, 0o600)
  writeFileSync(path, 'text')
  assert.equal(
    withPlace(path, (place) => readFileSync(place.path, 'utf8'), base),
    'text',
  )
  assert.equal(withPlace(path, removePlace, base), undefined)
  assert.equal(withPlace(path, removePlace, base), ENOENT)
  assert.equal(make(inside('top'), base), undefined, 'directly in the mount')
})

test('a symlink in the middle is not followed, be it to a directory inside or outside', (t) => {
  const { base, inside, outside } = groundOf(t)
  symlinkSync(outside, inside('away'))
  symlinkSync('theirs', inside('within'))
  symlinkSync('/proc/self/cwd', inside('magic'))
  for (const name of ['away', 'within', 'magic']) assert.equal(make(inside(name, 'file'), base), ELOOP)
  assert.throws(() => statSync(join(outside, 'file')))
  assert.match(pathProblem(ELOOP), /a directory of its path was replaced/)
})

test('a directory that is swapped for a symlink after the walk was begun leads to what it was', (t) => {
  const { base, inside, outside } = groundOf(t)
  const path = inside('theirs', 'file')
  const swap = () => {
    renameSync(inside('theirs'), inside('former'))
    symlinkSync(outside, inside('theirs'))
  }
  withPlace(
    path,
    (place) => {
      swap()
      writeFileSync(place.path, 'here')
    },
    base,
  )
  assert.equal(readFileSync(inside('former', 'file'), 'utf8'), 'here')
  assert.throws(() => statSync(join(outside, 'file')))
  assert.equal(make(path, base), ELOOP, 'and from then on nowhere')
})

test('no name leads out of the mount', (t) => {
  const { base, inside, outside } = groundOf(t)
  assert.equal(make(join(outside, 'file'), base), EXDEV)
  assert.equal(make(`${inside('theirs')}/../../outside/file`, base), EXDEV)
  assert.equal(make(inside('..'), base), EXDEV)
  const open = (way: string) => withMount(inside('x'), (root) => openBeneath(root, way, 0), base)
  assert.equal(open('theirs/../../outside'), EXDEV)
  assert.equal(open(outside), EXDEV, 'an absolute one')
  writeFileSync(inside('plain'), '')
  assert.equal(make(inside('plain', 'file'), base), ENOTDIR)
  assert.equal(make(inside('missing', 'file'), base), ENOENT)
})

test('another mount is neither entered nor taken for the one that was meant', (t) => {
  const { base } = groundOf(t)
  const root: Base = baseAt('/')
  const intoProc = withMount('/x', (fd) => openBeneath(fd, 'proc/version', 0), root)
  assert.equal(intoProc, EXDEV)
  assert.equal(make(join(base.path, 'file'), { ...base, mountId: base.mountId + 100_000 }), EXDEV)
  assert.notEqual(baseAt('/proc').mountId, root.mountId)
})

test('a path that is in no mount of guestmemfs has no base', () => {
  assert.equal(mountOver('/proc/self/status'), ENOENT)
  assert.equal(
    withPlace('/proc/self/status', () => 1 as unknown as Fd),
    ENOENT,
  )
})
