import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseEnvironment, findVmUser, rootEnvironment } from './identity.ts'

const ALICE = { uid: 1000, gid: 1000, groups: [1000, 36], name: 'alice', home: '/home/alice' }

test('only a chosen few variables are recorded, and those that are named', () => {
  const from = { PATH: '/bin', LC_TIME: 'de', AWS_SECRET: 'x', SUDO_UID: '1000', HOME: '/root', DEBUG: '1' }
  const user = { HOME: '/home/alice', USER: 'alice', LOGNAME: 'alice' }
  assert.deepEqual(chooseEnvironment(ALICE, from, []), { PATH: '/bin', LC_TIME: 'de', ...user })
  const more = chooseEnvironment(ALICE, from, ['DEBUG', 'A=b=c', 'EMPTY='])
  assert.deepEqual([more.DEBUG, more.A, more.EMPTY, more.AWS_SECRET], ['1', 'b=c', '', undefined])
  assert.throws(() => chooseEnvironment(ALICE, from, ['MISSING']), /MISSING is not set/)
})

test('a program of root’s gets no variable that could name what it loads', () => {
  const theirs = {
    PATH: '/home/alice/bin',
    LD_PRELOAD: '/x.so',
    QEMU_MODULE_DIR: '/x',
    TMPDIR: '/x',
    NODE_OPTIONS: '-r x',
  }
  const { PATH, ...rest } = rootEnvironment({ ...theirs, LC_TIME: 'de', HOME: '/home/alice' })
  assert.deepEqual(rest, { LC_TIME: 'de', HOME: '/root' })
  assert.doesNotMatch(PATH ?? '', /home/)
})

test('the user is the one that is named, else the caller of sudo, else this process’s', () => {
  assert.equal(findVmUser('root', {}).uid, 0)
  assert.equal(findVmUser('0', { SUDO_UID: '4242' }).uid, 0)
  assert.equal(findVmUser(undefined, {}).uid, process.getuid?.())
  const expected = process.getuid?.() === 0 ? 987654 : process.getuid?.()
  assert.equal(findVmUser(undefined, { SUDO_UID: '987654' }).uid, expected)
  assert.throws(() => findVmUser('no-such-user', {}), /there is no user 'no-such-user'/)
})
