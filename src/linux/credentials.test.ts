import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SystemCallError } from '../values/errors.ts'
import { withCredentials } from './credentials.ts'

const isRoot = process.getuid?.() === 0
const skip = isRoot ? false : 'needs root'
const STRANGER = { uid: 61_234, gid: 61_235, groups: [61_236, 61_237] }

/** The fields of /proc/PID/status that say who a process is. */
const identityOf = (status: string): Record<string, string> =>
  Object.fromEntries(
    [...status.matchAll(/^(Uid|Gid|Groups|CapPrm|CapEff|CapAmb):\s*(.*?)\s*$/gm)].map(([, key, value]) => [
      key,
      (value ?? '').replaceAll('\t', ' '),
    ]),
  )

test('a program that is started there is that user through and through, without a capability', {
  skip,
}, () => {
  const { stdout } = withCredentials(STRANGER, () =>
    spawnSync('/bin/cat', ['/proc/self/status'], { env: {}, encoding: 'utf8' }),
  )
  assert.deepEqual(identityOf(stdout), {
    Uid: '61234 61234 61234 61234',
    Gid: '61235 61235 61235 61235',
    Groups: '61236 61237',
    ...{ CapPrm: '0000000000000000', CapEff: '0000000000000000', CapAmb: '0000000000000000' },
  })
})

test('afterwards this process is itself again, also when the work fails', { skip }, () => {
  const before = identityOf(readFileSync('/proc/self/status', 'latin1'))
  const fail = () =>
    withCredentials(STRANGER, () => {
      throw new Error('work')
    })
  assert.throws(fail, /work/)
  assert.deepEqual(identityOf(readFileSync('/proc/self/status', 'latin1')), before)
  assert.equal(
    withCredentials(STRANGER, () => 7),
    7,
  )
  assert.deepEqual(identityOf(readFileSync('/proc/self/status', 'latin1')), before)
})

test("the work has that user's rights, and the files it makes are that user's", { skip }, (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'credentials-'))
  t.after(() => rmSync(folder, { recursive: true }))
  // Test folders are closed to other users: that user goes by the directory this process is in.
  const before = process.cwd()
  process.chdir(folder)
  t.after(() => process.chdir(before))
  const [secret, theirs] = ['secret', 'theirs']
  writeFileSync(secret, '', { mode: 0o600 })
  chmodSync(folder, 0o777)
  withCredentials(STRANGER, () => {
    assert.throws(() => readFileSync(secret), /EACCES/)
    writeFileSync(theirs, '')
  })
  assert.deepEqual([statSync(theirs).uid, statSync(theirs).gid], [61_234, 61_235])
})

test('what does not start says so as ever', { skip }, async () => {
  const child = withCredentials(STRANGER, () => spawn('/no/such/program'))
  const [error] = (await new Promise((resolve) => child.once('error', (...all) => resolve(all)))) as [Error]
  assert.match(error.message, /ENOENT/)
})

test('only root can be another user', { skip: isRoot ? 'is root' : false }, () => {
  assert.throws(() => withCredentials(STRANGER, () => {}), SystemCallError)
})
