/**
 * Today's `install` over that of the oldest readable tree: it finds and replaces that tree's files, and keeps
 * an operator's changes and additions.
 */
import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { commandIn } from '../../src/host/next-boot.ts'
import { LIBRARY } from '../../src/host/versions/version-folder.ts'
import { OLDEST, takeOlder } from '../../testbed/older-tree.ts'
import { cannotRunOlder } from './older.ts'
import { guestmemfs, type Outcome, runProgram } from './support.ts'

const UNIT = 'etc/systemd/system/guestmemfs@.service'
const RESUME = 'etc/systemd/system/guestmemfs-resume.service'
const HELPER = 'sbin/mount.guestmemfs'

function assertDone({ stderr, status }: Outcome): void {
  assert.deepEqual([stderr, status], ['', 0])
}

test('units and helpers of the oldest tree are migrated', {
  skip: cannotRunOlder,
  timeout: 120_000,
}, async (t) => {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'install-older-')))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  const [prefix, older] = [join(folder, 'root'), join(folder, 'older')]
  fs.mkdirSync(prefix)
  takeOlder(OLDEST, older)
  const olderRun = (...words: string[]) =>
    runProgram(process.execPath, [join(older, 'src/cli.ts'), ...words, '--prefix', prefix])
  const read = (path: string) => fs.readFileSync(join(prefix, path), 'utf8')
  const current = [join(prefix, LIBRARY, 'current/guestmemfs')]

  assertDone(await olderRun('install', '--yes'))
  const theirs = [process.execPath, join(older, 'src/cli.ts')]
  for (const path of [UNIT, RESUME, HELPER]) assert.deepEqual(commandIn(read(path)), theirs)
  const edited = `${read(UNIT)}Nice=5\n`
  fs.writeFileSync(join(prefix, UNIT), edited)
  fs.mkdirSync(join(prefix, `${UNIT}.d`))
  fs.writeFileSync(join(prefix, `${UNIT}.d/limits.conf`), '[Service]\nLimitCORE=0\n')

  const installed = await guestmemfs('install', '--yes', '--prefix', prefix)
  assertDone(installed)
  const beside = join(prefix, `${UNIT}.guestmemfs-new`)
  assert.match(
    installed.stdout,
    new RegExp(
      `^kept ${join(prefix, UNIT)}: it was changed since; this version's is ${beside}: 'mv ${beside} ${join(prefix, UNIT)}' takes it$`,
      'm',
    ),
  )
  assert.equal(read(UNIT), edited)
  assert.deepEqual(commandIn(fs.readFileSync(beside, 'utf8')), current)
  for (const path of [RESUME, HELPER, 'sbin/mount.fuse.guestmemfs'])
    assert.deepEqual(commandIn(read(path)), current)
  assert.equal(read(`${UNIT}.d/limits.conf`), '[Service]\nLimitCORE=0\n')

  await t.test('once the operator takes the new unit, install replaces it again', async () => {
    fs.renameSync(beside, join(prefix, UNIT))
    const again = await guestmemfs('install', '--yes', '--prefix', prefix)
    assertDone(again)
    assert.doesNotMatch(again.stdout, /^kept/m)
    assert.deepEqual(commandIn(read(UNIT)), current)
  })

  await t.test('the older tree goes back by its own install, and today forth again', async () => {
    assertDone(await olderRun('install', '--yes'))
    for (const path of [UNIT, RESUME, HELPER]) assert.deepEqual(commandIn(read(path)), theirs)
    const forth = await guestmemfs('install', '--yes', '--prefix', prefix)
    assertDone(forth)
    assert.doesNotMatch(forth.stdout, /^kept/m)
    for (const path of [UNIT, RESUME, HELPER]) assert.deepEqual(commandIn(read(path)), current)
  })

  await t.test('uninstalled, only the operator’s own file is left', async () => {
    assertDone(await guestmemfs('uninstall', '--prefix', prefix))
    const left = fs
      .readdirSync(prefix, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
    assert.deepEqual(
      left.map(({ name }) => name),
      ['limits.conf'],
    )
  })
})
