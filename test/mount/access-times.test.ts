/** Access times by the mount's options, as on tmpfs. */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { cannotMount, guestmemfs, kill, mountTestPool, shell, testMountPoint } from './support.ts'

const options = { skip: cannotMount, timeout: 90_000 }
/** Longer than the clock's step, by which times differ. */
const STEP_MS = 30

/** Reads the contents of a file, a directory and a symlink. */
const looksAt = (root: string) => ({
  file: () => fs.readFileSync(`${root}/file`),
  directory: () => fs.readdirSync(`${root}/directory`),
  symlink: () => fs.readlinkSync(`${root}/symlink`),
})
type Name = keyof ReturnType<typeof looksAt>

function populate(root: string): void {
  fs.writeFileSync(`${root}/file`, 'text')
  fs.mkdirSync(`${root}/directory`)
  fs.symlinkSync('file', `${root}/symlink`)
}

/** Whether the access time changes when the contents are read: at first, again, and after a change. */
async function moves(root: string, name: Name): Promise<boolean[]> {
  const seen: boolean[] = []
  const atime = () => fs.lstatSync(`${root}/${name}`, { bigint: true }).atimeNs
  for (const step of ['first', 'again', 'changed']) {
    if (step === 'changed') shell(`chown -h 5:5 '${root}/${name}'`)
    const before = atime()
    await sleep(STEP_MS)
    looksAt(root)[name]()
    seen.push(atime() > before)
  }
  return seen
}

test('noatime, relatime and strictatime mean what they mean on tmpfs', options, async (t) => {
  const { pool, mountPoint } = await mountTestPool(t, { size: '32M' })
  const tmpfs = testMountPoint(t)
  shell(`mount -t tmpfs tmpfs '${tmpfs}'`)
  for (const root of [mountPoint, tmpfs]) populate(root)
  const remount = (words: string) => {
    shell(`mount -i -o 'remount,${words}' '${tmpfs}'`)
    return guestmemfs('mount', pool, mountPoint, '-o', `remount,${words}`)
  }
  const wanted: Record<string, Record<Name, boolean[]>> = {
    relatime: { file: [true, false, true], directory: [true, false, true], symlink: [true, false, true] },
    strictatime: { file: [true, true, true], directory: [true, true, true], symlink: [true, true, true] },
    'strictatime,nodiratime': {
      file: [true, true, true],
      directory: [false, false, false],
      symlink: [true, true, true],
    },
    noatime: {
      file: [false, false, false],
      directory: [false, false, false],
      symlink: [false, false, false],
    },
  }
  for (const [words, rows] of Object.entries(wanted)) {
    const { status, stderr } = await remount(words)
    assert.equal(status, 0, stderr)
    for (const [name, row] of Object.entries(rows) as [Name, boolean[]][]) {
      shell(`chown -h 0:0 '${mountPoint}/${name}' '${tmpfs}/${name}'`)
      const [here, there] = [await moves(mountPoint, name), await moves(tmpfs, name)]
      assert.deepEqual({ here, there }, { here: row, there: row }, `${words}: ${name}`)
    }
  }
})

test('an access time outlives the server; O_NOATIME and a frozen pool leave it', options, async (t) => {
  const pool = await mountTestPool(t, { size: '32M' })
  populate(pool.mountPoint)
  const atime = () => fs.statSync(pool.path('file'), { bigint: true }).atimeNs
  await sleep(STEP_MS)
  fs.readFileSync(pool.path('file'))
  const read = atime()
  await kill(pool.serverPid())
  assert.equal(atime(), read)

  await sleep(STEP_MS)
  fs.writeFileSync(pool.path('file'), 'new')
  const written = atime()
  const fd = fs.openSync(pool.path('file'), fs.constants.O_RDONLY | fs.constants.O_NOATIME)
  fs.readSync(fd, Buffer.alloc(3))
  fs.closeSync(fd)
  assert.equal(atime(), written)
  assert.equal((await guestmemfs('freeze', pool.pool)).status, 0)
  assert.equal(fs.readFileSync(pool.path('file'), 'utf8'), 'new')
  assert.equal(atime(), written)
  assert.equal((await guestmemfs('thaw', pool.pool)).status, 0)
  fs.readFileSync(pool.path('file'))
  assert.ok(atime() > written)
})
